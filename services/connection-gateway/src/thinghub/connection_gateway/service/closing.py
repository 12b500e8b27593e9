"""Sessions on the way out: closed, flushed, released, reported.

    core says closed  -> no more downlinks; uplink already received is still on its way to the bus
    core says flushed -> the claim is released by (incarnation, epoch), the index entry removed, offline reported

The offline event is left out when a newer claim exists: the device is online, only elsewhere. While Redis is away
releases wait here, and the devices stay claimed: nobody else can take the claims over before Redis is back either.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from thinghub.connection_gateway.domain.claims import Released
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.errors import ClaimsUnavailable
from thinghub.connection_gateway.ports import Claims, Connections, StatusEvent, StatusEvents

BATCH = 500
PAUSE_SECONDS = 0.5

log = logging.getLogger("thinghub.connection_gateway.closing")


@dataclass(frozen=True, slots=True)
class _Release:
    """`offline`: whether the device was seen online and its absence is news."""

    session: Session
    offline: bool
    last_ms: int


class Closing:
    """Bounded by the sessions there are: each is released once."""

    def __init__(
        self,
        connections: Connections,
        claims: Claims,
        table: SessionTable,
        events: StatusEvents,
        clock_ms: Callable[[], int],
    ) -> None:
        self._connections = connections
        self._claims = claims
        self._table = table
        self._events = events
        self._clock_ms = clock_ms
        self._waiting: deque[_Release] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._flushes: dict[int, asyncio.Future[None]] = {}
        self._unindexing: dict[Device, asyncio.Future[None]] = {}
        self._closed_ms: dict[int, int] = {}

    def close(self, sessions: Sequence[Session], reason: str) -> list[asyncio.Future[None]]:
        """Ends live sessions; each future is done when that session's uplink is durable or failed."""
        self._connections.close([(session.handle, reason) for session in sessions])
        return [self._flush(session.handle) for session in sessions]

    async def close_and_flush(self, sessions: Sequence[Session], reason: str, deadline: float) -> None:
        """Ends sessions and waits for their uplink, no longer than `deadline` seconds."""
        if sessions:
            await asyncio.wait(self.close(sessions, reason), timeout=deadline)

    def on_closed(self, handle: int) -> Session | None:
        """The core closed a session; returns it."""
        session = self._table.closed(handle)
        if session is not None:
            self._closed_ms[handle] = self._clock_ms()
        return session

    def on_flushed(self, handles: Iterable[int]) -> None:
        for handle in handles:
            session = self._table.flushed(handle)
            if session is not None:
                self._add(_Release(session, True, self._closed_ms.pop(handle, self._clock_ms())))
            flush = self._flushes.pop(handle, None)
            if flush is not None and not flush.done():
                flush.set_result(None)

    def abandon(self, session: Session, *, offline: bool) -> None:
        """Releases a claim whose session never came to be. `offline`: another session was online before it, and nobody
        else will say that the device is gone."""
        self._add(_Release(session, offline, self._clock_ms()))

    async def settled(self, devices: Iterable[Device]) -> None:
        """Waits for index removals of these devices that are under way, so that they do not undo a new entry."""
        under_way = {self._unindexing[device] for device in devices if device in self._unindexing}
        if under_way:
            await asyncio.wait(under_way)

    async def run(self) -> None:
        """Releases what is to be released, for ever."""
        while True:
            await self._wake.wait()
            while self._waiting:
                batch = list(self._waiting)[:BATCH]
                try:
                    await self._release(batch)
                except ClaimsUnavailable:
                    await asyncio.sleep(PAUSE_SECONDS)
                else:
                    for _ in batch:
                        self._waiting.popleft()
            self._wake.clear()
            self._idle.set()

    async def drained(self, deadline: float) -> bool:
        """Waits until nothing is on the way out; False when that takes longer."""
        try:
            async with asyncio.timeout(deadline):
                while self._table.leaving or len(self._table):
                    await asyncio.sleep(0.01)
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _add(self, release: _Release) -> None:
        self._waiting.append(release)
        self._idle.clear()
        self._wake.set()

    async def _release(self, batch: Sequence[_Release]) -> None:
        found = await self._claims.release(
            [(one.session.device, one.session.epoch, one.session.connection) for one in batch]
        )
        await self._unindex({one.session.device for one in batch})
        now = self._clock_ms()
        await self._events.emit(
            [
                StatusEvent(one.session, False, now, one.last_ms)
                for one, what in zip(batch, found, strict=True)
                if one.offline and what is not Released.TAKEN_OVER
            ]
        )

    async def _unindex(self, devices: Iterable[Device]) -> None:
        gone = [device for device in devices if not self._table.holds(device)]
        if not gone:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unindexing.update(dict.fromkeys(gone, done))
        try:
            await self._claims.unindex(gone)
        except ClaimsUnavailable:
            log.debug("index entries of %d devices stay; they are harmless", len(gone))
        finally:
            done.set_result(None)
            for device in gone:
                del self._unindexing[device]

    def _flush(self, handle: int) -> asyncio.Future[None]:
        """One future a handle, shared by all who wait; done at once when the session is gone already."""
        if handle not in self._flushes:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._flushes[handle] = future
        return self._flushes[handle]
