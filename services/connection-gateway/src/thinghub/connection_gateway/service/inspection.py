"""Figures of own sessions, asked of the connection plane, which answers in a later batch."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.live import Live
from thinghub.connection_gateway.domain.sessions import Session, SessionTable

DEADLINE = 1.0
MAX_ASKED = 1000


class Inspectable(Protocol):
    """The connection plane. Nothing here waits."""

    def inspect(self, handles: Sequence[int]) -> None:
        """Asks for figures of sessions; they come with a later batch."""


class Inspection:
    def __init__(self, connections: Inspectable, table: SessionTable) -> None:
        self._connections = connections
        self._table = table
        self._asked: dict[int, asyncio.Future[Live | None]] = {}

    async def live(self, devices: Sequence[Device]) -> list[Live | None]:
        """One a device, in order; None without a session here, and when the answer takes too long."""
        sessions = [self._table.of(device) for device in devices]
        futures = self._ask([session.handle for session in sessions if session])
        if futures:
            await asyncio.wait(futures.values(), timeout=DEADLINE)
        for handle, future in futures.items():
            if not future.done() and self._asked.get(handle) is future:
                del self._asked[handle]
        return [self._placed(session, futures.get(session.handle)) if session else None for session in sessions]

    def on_inspected(self, figures: Iterable[tuple[int, Live | None]]) -> None:
        """Handle and figures; None: there is no such session."""
        for handle, live in figures:
            future = self._asked.pop(handle, None)
            if future is not None and not future.done():
                future.set_result(live)

    def _placed(self, session: Session, answer: "asyncio.Future[Live | None] | None") -> Live | None:
        live = answer.result() if answer is not None and answer.done() else None
        if live is None:
            return None
        return live.placed(session.parent.device if session.parent else None, self._table.behind(session.handle))

    def _ask(self, handles: Sequence[int]) -> dict[int, "asyncio.Future[Live | None]"]:
        """One question a handle, shared by all who wait for it."""
        loop = asyncio.get_running_loop()
        room = MAX_ASKED - len(self._asked)
        new = [handle for handle in dict.fromkeys(handles) if handle not in self._asked][: max(room, 0)]
        self._asked.update({handle: loop.create_future() for handle in new})
        self._connections.inspect(new)
        return {handle: self._asked[handle] for handle in handles if handle in self._asked}
