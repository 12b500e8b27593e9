"""The registrar carries out applications, a portion a transaction.

A portion's devices, their credentials and the note that they are made are committed together, so a process that ends in
the middle leaves a portion that is made again as if for the first time, by whichever process comes next: no device
twice, none left out, the same secrets. Progress is what was committed.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Never

from thinghub.common.errors import Fault, Unavailable
from thinghub.device_registry.domain.applications import EXISTS, MAX_COUNT, State
from thinghub.device_registry.ports.applications import ApplicationStore
from thinghub.device_registry.ports.store import Store, Unit
from thinghub.device_registry.service.making import Maker

PORTION = 500
POLL_S = 2.0
BACKOFF_S = 10.0
PURGE_EVERY_S = 3600.0
KEEP_MS = 30 * 24 * 3600 * 1000


class Registrar:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(
        self,
        store: Store,
        applications: ApplicationStore,
        maker: Maker,
        clock_ms: Callable[[], int],
        log: logging.Logger,
    ) -> None:
        self._store = store
        self._applications = applications
        self._maker = maker
        self._clock_ms = clock_ms
        self._log = log
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """An application was started."""
        self._woken.set()

    async def run(self) -> Never:
        pause, purged = POLL_S, 0.0
        while True:
            self._woken.clear()
            try:
                while await self.step():
                    pass
                pause = POLL_S
                purged = await self._purge(purged)
            except Fault as error:
                pause = min(pause * 2, BACKOFF_S)
                self._log.debug("applications wait: %s", error)
            await self._wait(pause)

    async def step(self) -> bool:
        """One portion of one application; False when there is none. Raises Unavailable when a part is away."""
        apply_id = 0
        try:
            async with self._store.unit() as unit:
                apply_id = await unit.lock_running() or 0
                if apply_id and await self._portion_of(unit, apply_id):
                    await self._finish(unit, apply_id)
        except Unavailable:
            raise
        except Fault as error:
            await self._give_up(apply_id, error)
        return apply_id > 0

    async def _portion_of(self, unit: Unit, apply_id: int) -> bool:
        """Whether it was the last."""
        entries = await unit.pending(apply_id, PORTION)
        if entries:
            made = await self._maker.make(unit, entries)
            await unit.settle(
                apply_id,
                [one.number for one in entries if one.device in made],
                {one.number: EXISTS for one in entries if one.device not in made},
            )
        return len(entries) < PORTION

    async def _finish(self, unit: Unit, apply_id: int) -> None:
        made = await unit.count_made(apply_id)
        await unit.set_state(apply_id, State.DONE if made else State.FAILED)

    async def _give_up(self, apply_id: int, error: Fault) -> None:
        """What was refused once would be refused for ever, and hold up the applications behind it."""
        self._log.error("application %d ends early: %s", apply_id, error)
        async with self._store.unit() as unit:
            left = await unit.pending(apply_id, MAX_COUNT)
            await unit.settle(apply_id, (), {one.number: error.message for one in left})
            await self._finish(unit, apply_id)

    async def _purge(self, purged: float) -> float:
        now = asyncio.get_running_loop().time()
        if now - purged < PURGE_EVERY_S:
            return purged
        await self._applications.purge_applications(self._clock_ms() - KEEP_MS)
        return now

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
