"""What both adapters do with the records of one partition: a lane runs the handler over them, in order."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from thinghub.common.bus.port import BusRecord, Handler

# A lane takes one batch beside the one being handled: enough to keep the handler busy, and the bound on memory.
MAX_BATCHES = 2
BACKOFF_FIRST, BACKOFF_LAST = 0.1, 5.0
GRACE = 5.0


class Lane:
    """Feeds the handler with one partition's batches. A batch whose handler raised is given again after a pause.

    `passed` is called in the event loop with the last record of each batch whose handler returned.
    """

    def __init__(self, name: str, handler: Handler, passed: Callable[[BusRecord], None], log: logging.Logger) -> None:
        self.name = name
        self._handler = handler
        self._passed = passed
        self._log = log
        self._batches: deque[Sequence[BusRecord]] = deque()  # bounded by the caller, who looks at `full`
        self._arrived = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name=f"bus lane {name}")

    @property
    def full(self) -> bool:
        return len(self._batches) >= MAX_BATCHES

    def put(self, records: Sequence[BusRecord]) -> None:
        if not self._closing:
            self._batches.append(records)
            self._arrived.set()

    async def stop(self, grace: float) -> None:
        """Lets the running handler finish within `grace` seconds, then cancels it and waits (at most as long again,
        and a second): a handler that ignores its cancellation is left behind."""
        self._closing = True
        self._arrived.set()
        if grace > 0:
            await asyncio.wait({self._task}, timeout=grace)
        self._task.cancel()
        _, late = await asyncio.wait({self._task}, timeout=grace + 1)
        if late:
            self._log.error("handler of %s ignores its cancellation", self.name)

    async def _run(self) -> None:
        while not self._closing:
            if not self._batches:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            records = self._batches[0]
            if not await self._handle(records):
                return
            self._batches.popleft()
            self._passed(records[-1])

    async def _handle(self, records: Sequence[BusRecord]) -> bool:
        """False: the lane was closed between two attempts."""
        pause = BACKOFF_FIRST
        while not self._closing:
            try:
                await self._handler(records)
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is None or task.cancelling():
                    raise
                self._report("was cancelled from within", pause)
            except Exception as error:
                self._report(repr(error), pause, error)
            else:
                return True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._closed()
            pause = min(pause * 2, BACKOFF_LAST)
        return False

    async def _closed(self) -> None:
        while not self._closing:
            self._arrived.clear()
            await self._arrived.wait()

    def _report(self, what: str, pause: float, error: Exception | None = None) -> None:
        self._log.warning(
            "handler of %s failed, the same records come again in %.1f s: %s", self.name, pause, what, exc_info=error
        )


async def stop_lanes(lanes: Sequence[Lane], grace: float) -> None:
    await asyncio.gather(*(lane.stop(grace) for lane in lanes))


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Awaits cleaning up even when cancelled meanwhile; the cancellation is raised afterwards. `work` is bounded."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError
