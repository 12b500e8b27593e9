"""One consumer of the group for everything the rule engine reads; the topic decides who handles a record."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Never

from thinghub.common.bus.port import Bus, BusRecord, Handler
from thinghub.rule_engine.entrypoints.retries import Retries

GROUP = "rule-engine"


async def consume(bus: Bus, messages: Mapping[str, Handler], retries: Mapping[str, Retries], max_records: int) -> Never:
    """Until cancelled; then what waits for its time is let go of at once, what is under way may end."""
    handlers: dict[str, Handler] = {**messages, **retries}

    async def handle(records: Sequence[BusRecord]) -> None:
        await handlers[records[0].topic](records)

    consuming = asyncio.create_task(bus.consume(GROUP, tuple(handlers), handle, max_records=max_records))
    try:
        await asyncio.shield(consuming)
    finally:
        for waiting in retries.values():
            waiting.stop()
        consuming.cancel()
        await asyncio.wait([consuming])
    raise AssertionError("a consumer never returns")
