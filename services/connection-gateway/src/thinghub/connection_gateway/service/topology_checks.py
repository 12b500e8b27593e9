"""Topology, looked at once more while sub-devices are online.

A relation that is removed ends the session by a kick. A log-in that was checked before the removal and claimed after
the kick, and a kick that was lost, are found here: from time to time every sub-device's relation is asked for, a call
a gateway device, and who is not held any more is ended as the kick would have.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Never

from thinghub.common.errors import Fault
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.logins import TOPOLOGY
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.ports import Topology
from thinghub.connection_gateway.service.closing import Closing

BATCH = 500

log = logging.getLogger("thinghub.connection_gateway.topology")


class TopologyChecks:
    def __init__(self, topology: Topology, table: SessionTable, closing: Closing) -> None:
        self._topology = topology
        self._table = table
        self._closing = closing

    async def watch(self, pause: float) -> Never:
        while True:
            await asyncio.sleep(pause)
            try:
                await self.check()
            except Fault as fault:
                log.warning("the topology of sub-devices could not be compared: %s", fault)

    async def check(self) -> None:
        """Raises Unavailable; then the rest waits for the next time."""
        behind: dict[Device, list[Session]] = {}
        for session in self._table.live():
            if session.parent is not None:
                behind.setdefault(session.parent.device, []).append(session)
        for gateway, sessions in behind.items():
            for start in range(0, len(sessions), BATCH):
                await self._compare(gateway, sessions[start : start + BATCH])

    async def _compare(self, gateway: Device, sessions: Sequence[Session]) -> None:
        held = await self._topology.held(gateway, [session.device for session in sessions])
        for session, is_held in zip(sessions, held, strict=True):
            if not is_held and self._table.stands(session):
                self._closing.close(self._table.supersede(session.device, session.epoch), TOPOLOGY)
