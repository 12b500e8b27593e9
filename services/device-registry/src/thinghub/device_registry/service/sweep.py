"""The sweep of the status projection (`domain.sweeping` has the rule): page by page, at a pace, by one process for all.

Whoever has the turn takes it again before it is over, and so keeps it; another one gets it when that process is gone.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Never

from thinghub.common.errors import Fault
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.sweeping import Projected, Repair, repair
from thinghub.device_registry.ports.sweeping import Claims, SweptStatuses, Turns

PAGE = 500
# Doubts are looked at again together; so many are kept at most.
MAX_DOUBTS = 5000
RECENT_MS = 24 * 3600 * 1000
FIRST = DeviceId("", "")

# How many devices were compared, and how many of them repaired.
Swept = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """`every`: seconds between two sweeps; `again`: from a doubt to the second look; `per_second`: devices compared."""

    every: float
    again: float
    per_second: int

    @property
    def turn(self) -> float:
        """Longer than from one taking to the next."""
        return 2 * self.every + self.again


class Sweep:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(
        self,
        statuses: SweptStatuses,
        claims: Claims,
        turns: Turns,
        pace: Pace,
        swept: Swept,
        clock_ms: Callable[[], int],
        log: logging.Logger,
    ) -> None:
        self._statuses = statuses
        self._claims = claims
        self._turns = turns
        self._pace = pace
        self._swept = swept
        self._clock_ms = clock_ms
        self._log = log

    async def run(self) -> Never:
        while True:
            await asyncio.sleep(self._pace.every)
            try:
                if await self._turns.take(self._pace.turn):
                    await self.sweep()
            except Fault as fault:
                self._log.info("the sweep of statuses waits: %s", fault)

    async def sweep(self) -> None:
        """All of it. Raises a Fault when a part is away; what was repaired until then stays so."""
        after, doubts = FIRST, list[Projected]()
        more = True
        while more:
            rows = await self._statuses.page(after, self._clock_ms() - RECENT_MS, PAGE)
            more = len(rows) == PAGE
            doubts += [one.was for one in await self._compare(rows)]
            if more:
                after = rows[-1].device
                await self._turns.take(self._pace.turn)
            if len(doubts) >= MAX_DOUBTS or not more:
                await self._settle(doubts)
                doubts = []

    async def _settle(self, doubts: Sequence[Projected]) -> None:
        """The second look."""
        if doubts:
            await asyncio.sleep(self._pace.again)
        for start in range(0, len(doubts), PAGE):
            repairs = await self._compare(doubts[start : start + PAGE])
            repaired = await self._statuses.repair(repairs) if repairs else 0
            self._swept(0, repaired)
            if repaired:
                self._log.warning("%d statuses were not those of the sessions there are, and are now", repaired)

    async def _compare(self, rows: Sequence[Projected]) -> list[Repair]:
        if not rows:
            return []
        held = await self._claims.held([row.device for row in rows])
        self._swept(len(rows), 0)
        await asyncio.sleep(len(rows) / self._pace.per_second)
        found = (repair(row, claim) for row, claim in zip(rows, held, strict=True))
        return [one for one in found if one is not None]
