"""Announcements on the bus."""

import asyncio
from collections.abc import Iterator, Sequence

from thinghub.common.bus.port import Bus
from thinghub.device_protocol.bus_topics import CONTROL, DEVICE_LIFECYCLE
from thinghub.device_protocol.records import Message, encode_record
from thinghub.device_protocol.slots import device_partition
from thinghubpb.bus.v1 import control_pb2

CONTROL_PARTITION = 0
MESSAGES_A_RECORD = 200
# Far below what the bus takes; a message of its own has less.
BYTES_A_RECORD = 256 * 1024


class BusAnnouncer:
    """Implements `Announcer`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def lifecycle(self, messages: Sequence[Message]) -> None:
        partitions = await self._bus.partitions(DEVICE_LIFECYCLE)
        by_partition: dict[int, list[Message]] = {}
        for message in messages:
            partition = device_partition(message.product_key, message.device_name, partitions)
            by_partition.setdefault(partition, []).append(message)
        await asyncio.gather(*(self._publish(partition, part) for partition, part in by_partition.items()))

    async def _publish(self, partition: int, messages: Sequence[Message]) -> None:
        for part in _parts(messages):
            await self._bus.publish(DEVICE_LIFECYCLE, partition, encode_record("", part))

    async def policy_changed(self, product_key: str, version: int, deleted: bool) -> None:
        change = control_pb2.PolicyChanged(product_key=product_key, version=version, deleted=deleted)
        event = control_pb2.ControlEvent(policy_changed=change)
        await self._bus.publish(CONTROL, CONTROL_PARTITION, event.SerializeToString())

    async def thing_model_changed(self, product_key: str, version: int) -> None:
        change = control_pb2.ThingModelChanged(product_key=product_key, version=version)
        event = control_pb2.ControlEvent(thing_model_changed=change)
        await self._bus.publish(CONTROL, CONTROL_PARTITION, event.SerializeToString())


def _parts(messages: Sequence[Message]) -> Iterator[list[Message]]:
    part: list[Message] = []
    size = 0
    for one in messages:
        if part and (len(part) == MESSAGES_A_RECORD or size + len(one.payload) > BYTES_A_RECORD):
            yield part
            part, size = [], 0
        part.append(one)
        size += len(one.payload)
    if part:
        yield part
