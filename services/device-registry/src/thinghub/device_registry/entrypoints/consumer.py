"""One consumer of the group `device-registry` for everything the registry reads; the topic decides who handles it."""

from collections.abc import Mapping, Sequence
from typing import Never

from thinghub.common.bus.port import Bus, BusRecord, Handler

GROUP = "device-registry"


async def consume(bus: Bus, handlers: Mapping[str, Handler]) -> Never:
    """Until cancelled."""

    async def handle(records: Sequence[BusRecord]) -> None:
        await handlers[records[0].topic](records)

    await bus.consume(GROUP, tuple(handlers), handle)
