"""Who is online: claims, read for callers that may not read them themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

from thinghub.connection_gateway.domain.claims import Claim
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.errors import ClaimsUnavailable
from thinghub.connection_gateway.ports import Claims


@dataclass(frozen=True, slots=True)
class Located:
    """`handle` is 0 for a session of another gateway."""

    gateway: str
    address: str
    handle: int
    epoch: int
    clean: bool
    since_ms: int
    client: str


class Lookup:
    def __init__(self, gateway: str, claims: Claims, table: SessionTable) -> None:
        self._gateway = gateway
        self._claims = claims
        self._table = table
        self.address = ""

    async def sessions(self, devices: Sequence[Device]) -> list[Located | None]:
        """One a device, in order. While Redis is away own sessions are known all the same. Raises ClaimsUnavailable
        when that does not answer the whole question."""
        try:
            found = await self._claims.find(devices)
        except ClaimsUnavailable:
            own = [self._table.of(device) for device in devices]
            if not all(own):
                raise
            return [self._own(session) for session in own if session]
        return [self._claimed(claim) for claim in found]

    def _claimed(self, claim: Claim | None) -> Located | None:
        if claim is None:
            return None
        session = self._table.of(claim.device) if claim.gateway == self._gateway else None
        return Located(
            claim.gateway,
            claim.address,
            session.handle if session and session.epoch == claim.epoch else 0,
            claim.epoch,
            claim.clean,
            claim.since_ms,
            claim.client,
        )

    def _own(self, session: Session) -> Located:
        return Located(
            self._gateway,
            self.address,
            session.handle,
            session.epoch,
            session.clean,
            session.since_ms,
            session.client,
        )
