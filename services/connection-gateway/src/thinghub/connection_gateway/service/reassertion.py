"""Reassertion: a gateway makes its claims once more (invariants §1).

Connections outlive an outage of Redis, but claims may be gone after it: lost with Redis's data, or expired by others
while this gateway could not renew its lease. So after anything of the kind, and every few minutes in case nobody saw
it, each session's claim is compared and set where it is missing, at a pace:

    there, or missing         the session stands as it is
    expired and reported      it stands with a new epoch, and the device is reported online again
    newer, here or elsewhere  the device is connected there: what is here ends
    barred                    it ends
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Never

from thinghub.connection_gateway.domain.estates import Reclaimed, Stand
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.errors import ClaimsUnavailable
from thinghub.connection_gateway.ports import Count, Reclaims, StatusEvent, StatusEvents
from thinghub.connection_gateway.service.closing import Closing

BATCH = 200
PAUSE_SECONDS = 0.5
ENDED = {Stand.NEWER: "taken_over", Stand.BARRED: "kicked"}

log = logging.getLogger("thinghub.connection_gateway.reassertion")


class Reassertion:
    """`every` is seconds between two comparisons for which there was no reason; `missed` is called after one that found
    claims missing: until then nobody could tell this gateway what is for its sessions."""

    def __init__(
        self,
        reclaims: Reclaims,
        table: SessionTable,
        closing: Closing,
        events: StatusEvents,
        per_second: int,
        every: float,
        missed: Callable[[], None],
        clock_ms: Callable[[], int],
        count: Count,
    ) -> None:
        self._reclaims = reclaims
        self._table = table
        self._closing = closing
        self._events = events
        self._per_second = per_second
        self._every = every
        self._missed = missed
        self._clock_ms = clock_ms
        self._count = count
        self._wanted = asyncio.Event()

    def want(self) -> None:
        """Something happened to the claims, or may have."""
        self._wanted.set()

    async def run(self) -> Never:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), self._every)
            self._wanted.clear()
            await self.compare()

    async def compare(self) -> None:
        """All sessions that are connected now; waits for Redis as long as it takes."""
        waiting, found = deque(self._table.live()), Counter[Stand]()
        loop = asyncio.get_running_loop()
        while waiting:
            batch = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
            standing = [one for one in batch if self._stands(one)]
            next_at = loop.time() + len(batch) / self._per_second
            try:
                found += await self._compare(standing)
            except ClaimsUnavailable as fault:
                log.debug("claims wait: %s", fault)
                waiting.extendleft(reversed(standing))
                next_at = loop.time() + PAUSE_SECONDS
            await asyncio.sleep(max(0.0, next_at - loop.time()))
        if found.total() > found[Stand.HELD]:
            self._missed()
            log.warning("claims were missing: %s", ", ".join(f"{many} {one.value}" for one, many in found.items()))

    async def _compare(self, sessions: Sequence[Session]) -> Counter[Stand]:
        # Whoever expires our sessions stops at once when we have a lease again.
        while await self._reclaims.expiring():
            await asyncio.sleep(PAUSE_SECONDS / 5)
        await self._closing.settled({session.device for session in sessions})
        answers = await self._reclaims.reclaim(sessions)
        online = [event for one, answer in zip(sessions, answers, strict=True) if (event := self._apply(one, answer))]
        await self._events.emit(online)
        for answer in answers:
            self._count(f"claims_{answer.stand.value}")
        return Counter(answer.stand for answer in answers)

    def _apply(self, session: Session, answer: Reclaimed) -> StatusEvent | None:
        """The event that is to be told, if one is."""
        reason = ENDED.get(answer.stand)
        if reason is not None:
            self._closing.close(self._table.supersede(session.device, session.epoch), reason)
            return None
        if not self._stands(session):  # closed meanwhile, and perhaps released before it was claimed again
            self._closing.abandon(replace(session, epoch=answer.epoch), offline=False)
            return None
        if answer.stand is not Stand.RENEWED:
            return None
        now = self._clock_ms()
        return StatusEvent(self._table.renew(session, answer.epoch), True, now, now)

    def _stands(self, session: Session) -> bool:
        return self._table.by_handle(session.handle) is session
