"""Why a device is, or is not, connected: its claim, its gateway's lease, what is remembered of it, and what the gateway
that holds it counts."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.live import Live
from thinghub.connection_gateway.errors import PeerUnavailable, TooManyDevices
from thinghub.connection_gateway.ports import Claims, Peers
from thinghub.connection_gateway.service.attempts import History, Remembered
from thinghub.connection_gateway.service.inspection import Inspection
from thinghub.connection_gateway.service.lookup import Located, Lookup

MAX_DEVICES = 50

log = logging.getLogger("thinghub.connection_gateway.explain")


@dataclass(frozen=True, slots=True)
class Explanation:
    """`alive`: the session's gateway holds its lease. `live` None: no session, or its gateway did not answer."""

    session: Located | None
    alive: bool
    history: History
    live: Live | None


class Explain:
    """`sampled_every`: one message in so many; 0 for none."""

    def __init__(
        self,
        gateway: str,
        lookup: Lookup,
        claims: Claims,
        remembered: Remembered,
        inspection: Inspection,
        peers: Peers,
        sampled_every: int,
    ) -> None:
        self._gateway = gateway
        self._lookup = lookup
        self._claims = claims
        self._remembered = remembered
        self._inspection = inspection
        self._peers = peers
        self.sampled_every = sampled_every

    async def explain(self, devices: Sequence[Device]) -> list[Explanation]:
        """One a device, in order. Raises TooManyDevices, ClaimsUnavailable."""
        _check(devices)
        sessions = await self._lookup.sessions(devices)
        alive = await self._alive({session.gateway for session in sessions if session})
        histories = await self._remembered.of(devices)
        lives = await self._lives(devices, sessions, alive)
        return [
            Explanation(session, session is not None and session.gateway in alive, history, lives.get(device))
            for device, session, history in zip(devices, sessions, histories, strict=True)
        ]

    async def live_here(self, devices: Sequence[Device]) -> list[Live | None]:
        """For another gateway: own sessions only. Raises TooManyDevices."""
        _check(devices)
        return await self._inspection.live(devices)

    async def _lives(
        self, devices: Sequence[Device], sessions: Sequence[Located | None], alive: set[str]
    ) -> dict[Device, Live]:
        """What each owner counts, asked in a batch an owner."""
        owners: dict[tuple[str, str], list[Device]] = {}
        for device, session in zip(devices, sessions, strict=True):
            if session is not None and session.gateway in alive:
                owners.setdefault((session.gateway, session.address), []).append(device)
        found = await asyncio.gather(*(self._of_owner(*owner, held) for owner, held in owners.items()))
        return {device: live for part in found for device, live in part.items() if live is not None}

    async def _of_owner(self, gateway: str, address: str, devices: Sequence[Device]) -> dict[Device, Live | None]:
        try:
            if gateway == self._gateway:
                lives = await self._inspection.live(devices)
            else:
                lives = await self._peers.inspect(address, devices)
        except PeerUnavailable as fault:
            log.debug("figures of %d sessions are missing: %s", len(devices), fault)
            return {}
        return dict(zip(devices, lives, strict=True))

    async def _alive(self, gateways: set[str]) -> set[str]:
        asked = sorted(gateways)
        return {gateway for gateway, alive in zip(asked, await self._claims.alive(asked), strict=True) if alive}


def _check(devices: Sequence[Device]) -> None:
    if len(devices) > MAX_DEVICES:
        raise TooManyDevices(f"at most {MAX_DEVICES} devices are explained in one call")
