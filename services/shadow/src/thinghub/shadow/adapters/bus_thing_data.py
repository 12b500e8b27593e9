"""`thing.data` on the bus: packed by partition, so that a record holds what many devices reported."""

import asyncio
from collections.abc import Iterator, Sequence

from thinghub.common.bus.port import Bus
from thinghub.device_protocol.bus_topics import THING_DATA
from thinghub.device_protocol.records import Message, encode_record
from thinghub.device_protocol.slots import device_partition

MAX_MESSAGES = 500
MAX_BYTES = 512 * 1024


class BusThingData:
    """Implements `ThingData`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, messages: Sequence[Message]) -> None:
        partitions = await self._bus.partitions(THING_DATA)
        parts: dict[int, list[Message]] = {}
        for message in messages:
            partition = device_partition(message.product_key, message.device_name, partitions)
            parts.setdefault(partition, []).append(message)
        await asyncio.gather(*(self._publish(partition, part) for partition, part in parts.items()))

    async def _publish(self, partition: int, messages: Sequence[Message]) -> None:
        for chunk in _chunks(messages):
            await self._bus.publish(THING_DATA, partition, encode_record("", chunk))


def _chunks(messages: Sequence[Message]) -> Iterator[list[Message]]:
    chunk: list[Message] = []
    size = 0
    for message in messages:
        length = len(message.payload) + 200
        if chunk and (size + length > MAX_BYTES or len(chunk) == MAX_MESSAGES):
            yield chunk
            chunk, size = [], 0
        chunk.append(message)
        size += length
    if chunk:
        yield chunk
