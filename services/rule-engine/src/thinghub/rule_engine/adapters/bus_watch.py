"""Whether the bus answers and has the topics the rule engine needs."""

import asyncio
from collections.abc import Sequence
from typing import Never

from thinghub.common.bus.port import Bus, TopicMissing
from thinghub.common.errors import Fault
from thinghub.common.health import Component

WATCH_S = 2.0
MISSING_S = 0.5


async def watch_bus(bus: Bus, topics: Sequence[str], component: Component, appeared: asyncio.Event) -> Never:
    """Marks the component as the bus comes and goes, until cancelled; `appeared` is set the first time all is there."""
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
        await asyncio.sleep(WATCH_S if component.is_ok else MISSING_S)
