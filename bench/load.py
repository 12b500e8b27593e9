"""Drives many publishers for a while, after a warm-up."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.mqtt_load import Publisher


@dataclass(frozen=True)
class Run:
    acknowledged: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.acknowledged / self.seconds


async def drive(
    publishers: Sequence[Publisher], host: str, port: int, *, warm_up: float, seconds: float, begin: Callable[[], None]
) -> Run:
    """Publishes at full window; counts PUBACKs of the measured span only. `begin` is called at its start."""
    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(publisher.run(host, port)) for publisher in publishers]
    try:
        await asyncio.sleep(warm_up)
        begin()
        before, started = sum(p.acked for p in publishers), loop.time()
        await asyncio.sleep(seconds)
        return Run(sum(p.acked for p in publishers) - before, loop.time() - started)
    finally:
        for publisher in publishers:
            publisher.stopping = True
        done, late = await asyncio.wait(tasks, timeout=20)
        for task in late:
            task.cancel()
        for task in done:
            task.result()
