"""Dead letters: kept as the bus tells of them, looked at, and put back to be tried again.

    rule.deadletter ── keep ──> store ── redrive ──> rule.retry.1s ──> the lanes, as any output that waits

What is redriven is on the bus before that is noted: if the process dies in between it is redriven once more, with the
same derived id, by which sinks know it. One that the sink refuses again is a dead letter again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Never

from thinghub.common.errors import Unavailable
from thinghub.rule_engine.domain.deadletters import MAX_PAGE, MAX_REDRIVE, DeadLetter, Found, Redriven, Selection
from thinghub.rule_engine.domain.retries import Waiting
from thinghub.rule_engine.errors import DeadLettersUnbounded, PageInvalid
from thinghub.rule_engine.ports.deadletters import DeadLetterStore
from thinghub.rule_engine.ports.parking import Parking

PORTION_BYTES = 4 << 20
PORTION = 200
PURGE_SECONDS = 60.0
DAY_MS = 86_400_000
KEPT_BYTES = 1 << 30

log = logging.getLogger("thinghub.rule_engine.deadletters")


class DeadLetters:
    def __init__(self, store: DeadLetterStore, parking: Parking, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._parking = parking
        self._now_ms = now_ms

    async def page(self, selection: Selection, limit: int) -> list[DeadLetter]:
        """Newest first. Raises PageInvalid, Unavailable."""
        if not 1 <= limit <= MAX_PAGE:
            raise PageInvalid(f"a page has 1 to {MAX_PAGE} dead letters")
        return await self._store.page(selection, limit)

    async def get(self, instance_id: str, dead_letter_id: int) -> tuple[DeadLetter, bytes]:
        """Raises DeadLetterNotFound, Unavailable."""
        return await self._store.get(instance_id, dead_letter_id)

    async def redrive(self, selection: Selection, limit: int) -> Redriven:
        """Returns when they are on the bus. Raises DeadLettersUnbounded when nothing is selected by, PageInvalid,
        Unavailable and ResourceExhausted: then some may have been redriven, which is noted of them."""
        if not 1 <= limit <= MAX_REDRIVE or len(selection.ids) > MAX_REDRIVE:
            raise PageInvalid(f"1 to {MAX_REDRIVE} dead letters are redriven in a call")
        if not (selection.ids or selection.rule_id or selection.from_ms or selection.until_ms):
            raise DeadLettersUnbounded("say which: by ids, by a rule or by a time")
        found = await self._store.find(selection, limit + 1)
        alive = [one for one in found[:limit] if one.alive]
        for portion in _portions(alive):
            outputs = await self._store.outputs([one.dead_letter_id for one in portion])
            now = self._now_ms()
            await self._parking.park(Waiting.FIRST, outputs, now)
            await self._store.note_redriven(portion, now)
        return Redriven(len(alive), len(found[:limit]) - len(alive), len(found) > limit)

    async def purge(self, days: float, kept: int) -> Never:
        """Keeps the store within its bounds until cancelled."""
        while True:
            try:
                old, surplus = await self._store.purge(self._now_ms() - int(days * DAY_MS), kept, KEPT_BYTES)
                if surplus:
                    log.warning("%d dead letters beyond the bound of %d were removed, the oldest", surplus, kept)
                if old:
                    log.info("%d dead letters older than %g days were removed", old, days)
            except Unavailable as error:
                log.debug("dead letters wait to be purged: %s", error.message)
            await asyncio.sleep(PURGE_SECONDS)


def _portions(found: Sequence[Found]) -> Iterator[list[Found]]:
    portion: list[Found] = []
    size = 0
    for one in found:
        if portion and (len(portion) >= PORTION or size + one.bytes > PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(one)
        size += one.bytes
    if portion:
        yield portion
