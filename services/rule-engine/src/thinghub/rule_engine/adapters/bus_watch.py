"""Whether the bus answers and has the topics the rule engine needs."""

import asyncio
from collections.abc import Sequence

from thinghub.common.bus.port import Bus


async def see_bus(bus: Bus, topics: Sequence[str], appeared: asyncio.Event) -> None:
    """Sets `appeared` when all is there. Raises Unavailable, TopicMissing."""
    await bus.ping()
    for topic in topics:
        await bus.partitions(topic)
    appeared.set()
