"""`/ext/error`: what a gateway device is told of its sub-devices (device-mqtt §10).

Told is who lost a session by force, and, a few times a second and connection, who publishes on a topic of a device that
has no session there. Whoever logged out itself, and whose connection is gone, is told nothing.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.logins import CODES, ENDED, ENDED_OTHERWISE, LOGOUT, named
from thinghub.connection_gateway.domain.outcomes import Outcome
from thinghub.connection_gateway.domain.rates import PerSecond
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.ports import Count
from thinghub.connection_gateway.service.pushes import Push, Pushes
from thinghub.device_protocol.codes import Alink

FOREIGN_PER_SECOND = 3


@dataclass(frozen=True, slots=True)
class Foreign:
    """A publish on a topic of `device`, which has no session on this connection; `handle` is the connection's own."""

    handle: int
    device: Device


class Notices:
    """`next_id` gives message ids, `clock` seconds of a steady clock."""

    def __init__(
        self,
        table: SessionTable,
        pushes: Pushes,
        next_id: Callable[[], int],
        clock: Callable[[], float],
        count: Count,
    ) -> None:
        self._table = table
        self._pushes = pushes
        self._next_id = next_id
        self._clock = clock
        self._count = count
        self._foreign = PerSecond(FOREIGN_PER_SECOND)

    def ended(self, sessions: Iterable[tuple[Session, str]]) -> None:
        """These sessions are over, each for this reason."""
        self._tell(
            self._notice(gateway, session.device, ENDED.get(reason, ENDED_OTHERWISE), qos=1)
            for session, reason in sessions
            if (gateway := session.parent) is not None and reason != LOGOUT and self._table.stands(gateway)
        )

    def foreign(self, publishes: Iterable[Foreign]) -> None:
        now, told = self._clock(), []
        for one in publishes:
            session = self._table.by_handle(one.handle)
            if session is not None and self._foreign.allows(one.handle, now):
                told.append(self._notice(session, one.device, CODES["no_session"], qos=0))
            else:
                self._count("foreign_untold")
        self._tell(told)

    def _notice(self, gateway: Session, device: Device, what: tuple[Alink, str], qos: int) -> Push:
        code, message = what
        body = {"id": str(self._next_id()), "code": int(code), "message": message, "data": named(device)}
        payload = json.dumps(body, separators=(",", ":")).encode()
        return Push(gateway.handle, error_topic(gateway.device), payload, qos, must_subscribe=True)

    def _tell(self, notices: Iterable[Push]) -> None:
        self._pushes.start([(notice, self._told) for notice in notices])

    def _told(self, outcome: Outcome) -> None:
        self._count(f"error_notice_{outcome}")


def error_topic(gateway: Device) -> str:
    return f"/ext/error/{gateway.product_key}/{gateway.device_name}"
