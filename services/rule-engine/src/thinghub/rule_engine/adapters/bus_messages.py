"""Custom messages that rules made, on the bus as their device's own: other rules see them (invariants §3)."""

import asyncio
from collections.abc import Sequence

from thinghub.common.bus.port import Bus
from thinghub.device_protocol import bus_topics, records, slots
from thinghub.rule_engine.adapters.gateway_devices import chunks
from thinghub.rule_engine.ports.messages import PlatformMessage

MAX_MESSAGES = 500
MAX_BYTES = 400_000


class BusMessages:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, messages: Sequence[PlatformMessage]) -> None:
        partitions = await self._bus.partitions(bus_topics.DEVICE_CUSTOM)
        by_partition: dict[int, list[PlatformMessage]] = {}
        for message in messages:
            partition = slots.device_partition(message.product_key, message.device_name, partitions)
            by_partition.setdefault(partition, []).append(message)
        writes = [
            self._bus.publish(bus_topics.DEVICE_CUSTOM, partition, _record(chunk))
            for partition, own in by_partition.items()
            for chunk in chunks(own, MAX_MESSAGES, MAX_BYTES)
        ]
        await asyncio.gather(*writes)


def _record(messages: Sequence[PlatformMessage]) -> bytes:
    """Platform origin: no epoch, so it is not fenced."""
    return records.encode_record(
        "",
        [
            records.Message(
                id=message.id,
                product_key=message.product_key,
                device_name=message.device_name,
                topic=message.topic,
                payload=message.payload,
                received_ms=message.received_ms,
                hops=message.hops,
                qos=message.qos,
                traceparent=message.traceparent,
            )
            for message in messages
        ],
    )
