"""The loop that moves jobs on: begins them, gives devices their tasks, tells devices, ends what is over.

Everything it needs to know is in the store, so it goes on after a kill where it was; a task under way when the process
died is claimed again after CLAIM_MS. A device may then be told twice, which it is used to.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Never

from thinghub.common.errors import Fault
from thinghub.device_protocol import ota
from thinghub.device_protocol.message_ids import derive
from thinghub.ota.domain.models import Due
from thinghub.ota.ports.others import Announcer, Counts, Devices, Downlink, Registry, Told
from thinghub.ota.ports.store import Outbox, Rollout
from thinghub.ota.service.packages import Offers

POLL_S, BACKOFF_S = 1.0, 5.0
CLAIM_MS = 15_000
PUSH_AT_ONCE = 200
PAGES_A_TURN = 20
EXPIRE_AT_ONCE = 500
ANNOUNCE_AT_ONCE = 500
_MASK31 = (1 << 31) - 1


class Loop:
    """Does `turn` again and again: at once while it says that there is more, when woken, and every second."""

    def __init__(self, name: str, log: logging.Logger) -> None:
        self._name = name
        self._log = log
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def turn(self) -> bool:
        """Whether there is more to do at once. Raises a Fault when a part is away."""
        raise AssertionError("a loop has a turn of its own")

    async def run(self) -> Never:
        pause = POLL_S
        while True:
            self._woken.clear()
            try:
                while await self.turn():
                    pass
                pause = POLL_S
            except Fault as fault:
                pause = min(pause * 2, BACKOFF_S)
                self._log.info("%s waits: %s", self._name, fault)
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                continue


class RolloutLoop(Loop):
    def __init__(
        self,
        rollout: Rollout,
        registry: Registry,
        devices: Devices,
        offers: Offers,
        counts: Counts,
        clock_ms: Callable[[], int],
        retry_ms: int,
        announcing: Loop,
        log: logging.Logger,
    ) -> None:
        super().__init__("the rollout", log)
        self._rollout = rollout
        self._registry = registry
        self._devices = devices
        self._offers = offers
        self._counts = counts
        self._clock_ms = clock_ms
        self._retry_ms = retry_ms
        self._announcing = announcing

    async def turn(self) -> bool:
        """What must not wait for the registry or a gateway comes first."""
        await self._rollout.begin(self._clock_ms())
        expired = await self._rollout.expire(self._clock_ms(), EXPIRE_AT_ONCE)
        await self._rollout.settle(self._clock_ms())
        self._announcing.wake()
        pushed = await self._push()
        pages = await self._expand()
        return bool(pushed or pages or expired == EXPIRE_AT_ONCE)

    async def _expand(self) -> int:
        """Gives a page of devices their tasks at a time; how many pages."""
        for page in range(PAGES_A_TURN):
            expansion = await self._rollout.to_expand()
            if expansion is None:
                return page
            targets, cursor = await self._registry.page(expansion.job.product_key, expansion.cursor)
            await self._rollout.expand(expansion, targets, cursor, self._clock_ms())
        return PAGES_A_TURN

    async def _push(self) -> int:
        """Tells the devices whose time it is; how many were told or tried."""
        now = self._clock_ms()
        due = await self._rollout.claim(now, now + CLAIM_MS, PUSH_AT_ONCE)
        if not due:
            return 0
        try:
            outcomes = await self._devices.deliver([await self._message(one) for one in due])
        except Fault:
            await self._rollout.push_later(due, now + self._retry_ms)
            raise
        by: dict[Told, list[Due]] = {told: [] for told in Told}
        for one, told in zip(due, outcomes, strict=True):
            by[told].append(one)
        await self._rollout.pushed(by[Told.TOLD], self._clock_ms())
        await self._rollout.push_later(by[Told.OFFLINE], None)
        await self._rollout.push_later(by[Told.NOT_YET], now + self._retry_ms)
        self._count(by)
        return len(due)

    async def _message(self, due: Due) -> Downlink:
        message_id = derive(due.claimed_ms, f"ota/push/{due.task.task_id}")
        payload = ota.push_message(message_id & _MASK31, await self._offers.of(due.firmware))
        return Downlink(due.task.device, ota.upgrade_topic(*due.task.device), payload, message_id)

    def _count(self, by: dict[Told, list[Due]]) -> None:
        for told, some in by.items():
            if some:
                self._counts.pushes(told.name.lower(), len(some))


class AnnouncingLoop(Loop):
    """The outbox: what was stored to be said is said at least once, in order, however long the bus is away."""

    def __init__(self, outbox: Outbox, announcer: Announcer, log: logging.Logger) -> None:
        super().__init__("the outbox", log)
        self._outbox = outbox
        self._announcer = announcer

    async def turn(self) -> bool:
        async with self._outbox.taking(ANNOUNCE_AT_ONCE) as announcements:
            if announcements:
                await self._announcer.announce(announcements)
        return len(announcements) == ANNOUNCE_AT_ONCE
