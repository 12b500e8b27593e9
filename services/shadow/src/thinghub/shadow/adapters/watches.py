"""Whether the parts shadow depends on are there, as health components."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Never

from thinghub.common.bus.port import Bus, TopicMissing
from thinghub.common.errors import Fault
from thinghub.common.health import Component

PAUSE_S = 2.0
FAILING_PAUSE_S = 0.5


async def watch(component: Component, ping: Callable[[], Awaitable[None]]) -> Never:
    """Asks for ever; every question has the deadline of `ping`."""
    while True:
        try:
            await ping()
            component.ok()
        except Fault as fault:
            component.fail(fault.message)
        await asyncio.sleep(PAUSE_S if component.is_ok else FAILING_PAUSE_S)


async def watch_bus(bus: Bus, topics: Sequence[str], component: Component, appeared: asyncio.Event) -> Never:
    """The same for the bus and its topics; `appeared` is set the first time all is there."""
    while True:
        try:
            await bus.ping()
            for topic in topics:
                await bus.partitions(topic)
            component.ok()
            appeared.set()
        except TopicMissing as error:
            component.fail(f"{error.message}: create the topics with `thinghub admin topics`")
        except Fault as error:
            component.fail(error.message)
        await asyncio.sleep(PAUSE_S if component.is_ok else FAILING_PAUSE_S)
