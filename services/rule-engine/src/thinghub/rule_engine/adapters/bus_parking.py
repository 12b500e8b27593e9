"""Outputs that wait, on the retry topics of the bus: one topic a delay, keyed by action, dead letters on their own."""

import asyncio
from collections.abc import Sequence

from thinghub.common.bus.port import Bus
from thinghub.device_protocol import bus_topics
from thinghub.rule_engine.adapters import rendered
from thinghub.rule_engine.domain.outputs import Output
from thinghub.rule_engine.domain.retries import Waiting

TOPICS = {
    Waiting.FIRST: bus_topics.RULE_RETRY_1S,
    Waiting.SECOND: bus_topics.RULE_RETRY_3S,
    Waiting.THIRD: bus_topics.RULE_RETRY_10S,
    Waiting.OUTAGE: bus_topics.RULE_RETRY_60S,
    Waiting.DEAD: bus_topics.RULE_DEADLETTER,
}
RETRY_TOPICS = tuple(topic for place, topic in TOPICS.items() if place is not Waiting.DEAD)


class BusParking:
    def __init__(self, bus: Bus, group: str) -> None:
        self._bus = bus
        self._group = group

    @property
    def loss(self) -> str:
        return "too_large"

    async def park(self, place: Waiting, outputs: Sequence[Output], not_before_ms: int) -> int:
        topic = TOPICS[place]
        partitions = await self._bus.partitions(topic)
        by_action: dict[int, list[Output]] = {}
        for output in outputs:
            by_action.setdefault(output.action_id, []).append(output)
        lost = 0
        writes = []
        for action_id, own in by_action.items():
            records, too_large = rendered.encode(own, not_before_ms)
            lost += too_large
            partition, key = action_id % partitions, str(action_id).encode()
            writes += [self._bus.publish(topic, partition, record, key) for record in records]
        await asyncio.gather(*writes)
        return lost

    async def waiting(self) -> dict[str, int]:
        return await self._bus.lag(self._group, RETRY_TOPICS)
