"""Why a device is, or is not, connected: its claim, its gateway's lease, and what is remembered of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.errors import TooManyDevices
from thinghub.connection_gateway.ports import Claims
from thinghub.connection_gateway.service.attempts import History, Remembered
from thinghub.connection_gateway.service.lookup import Located, Lookup

MAX_DEVICES = 50


@dataclass(frozen=True, slots=True)
class Explanation:
    """`alive`: the session's gateway holds its lease."""

    session: Located | None
    alive: bool
    history: History


class Explain:
    """`sampled_every`: one message in so many; 0 for none."""

    def __init__(self, lookup: Lookup, claims: Claims, remembered: Remembered, sampled_every: int) -> None:
        self._lookup = lookup
        self._claims = claims
        self._remembered = remembered
        self.sampled_every = sampled_every

    async def explain(self, devices: Sequence[Device]) -> list[Explanation]:
        """One a device, in order. Raises TooManyDevices, ClaimsUnavailable."""
        if len(devices) > MAX_DEVICES:
            raise TooManyDevices(f"at most {MAX_DEVICES} devices are explained in one call")
        sessions = await self._lookup.sessions(devices)
        alive = await self._alive({session.gateway for session in sessions if session})
        histories = await self._remembered.of(devices)
        return [
            Explanation(session, session is not None and session.gateway in alive, history)
            for session, history in zip(sessions, histories, strict=True)
        ]

    async def _alive(self, gateways: set[str]) -> set[str]:
        asked = sorted(gateways)
        return {gateway for gateway, alive in zip(asked, await self._claims.alive(asked), strict=True) if alive}
