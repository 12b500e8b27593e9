"""Announcements on the bus."""

import asyncio
from collections.abc import Sequence

from thinghub.common.bus.port import Bus
from thinghub.device_protocol.bus_topics import CONTROL, DEVICE_LIFECYCLE
from thinghub.device_protocol.records import Message, encode_record
from thinghub.device_protocol.slots import device_partition
from thinghubpb.bus.v1 import control_pb2

CONTROL_PARTITION = 0
# Lifecycle bodies have at most some 600 bytes; a record stays far below what the bus takes.
MESSAGES_A_RECORD = 200


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
        for start in range(0, len(messages), MESSAGES_A_RECORD):
            record = encode_record("", messages[start : start + MESSAGES_A_RECORD])
            await self._bus.publish(DEVICE_LIFECYCLE, partition, record)

    async def policy_changed(self, product_key: str, version: int, deleted: bool) -> None:
        change = control_pb2.PolicyChanged(product_key=product_key, version=version, deleted=deleted)
        event = control_pb2.ControlEvent(policy_changed=change)
        await self._bus.publish(CONTROL, CONTROL_PARTITION, event.SerializeToString())

    async def thing_model_changed(self, product_key: str, version: int) -> None:
        change = control_pb2.ThingModelChanged(product_key=product_key, version=version)
        event = control_pb2.ControlEvent(thing_model_changed=change)
        await self._bus.publish(CONTROL, CONTROL_PARTITION, event.SerializeToString())
