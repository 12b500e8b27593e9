"""One consumer of the group `shadow` for everything shadow reads; the topic decides who handles a record."""

from collections.abc import Mapping, Sequence
from typing import Never

from thinghub.common.bus.port import Bus, BusRecord, Handler

GROUP = "shadow"


async def consume(bus: Bus, handlers: Mapping[str, Sequence[Handler]], max_records: int) -> Never:
    """Until cancelled. The handlers of a topic see its records one after the other; all must have stored their effects
    before the offset moves."""

    async def handle(records: Sequence[BusRecord]) -> None:
        for handler in handlers[records[0].topic]:
            await handler(records)

    await bus.consume(GROUP, tuple(handlers), handle, max_records=max_records)
