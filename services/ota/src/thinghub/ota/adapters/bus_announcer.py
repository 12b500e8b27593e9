"""Announcements on `ota.data`."""

import asyncio
from collections.abc import Sequence

from thinghub.common.bus.port import Bus
from thinghub.device_protocol.bus_topics import OTA_DATA
from thinghub.device_protocol.message_ids import derive
from thinghub.device_protocol.records import Message, encode_record
from thinghub.device_protocol.slots import device_partition
from thinghub.ota.ports.store import Announcement

MESSAGES_A_RECORD = 200


class BusAnnouncer:
    """Implements `Announcer`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def announce(self, announcements: Sequence[Announcement]) -> None:
        partitions = await self._bus.partitions(OTA_DATA)
        by_partition: dict[int, list[Message]] = {}
        for one in announcements:
            partition = device_partition(one.product_key, one.device_name, partitions)
            by_partition.setdefault(partition, []).append(_message(one))
        await asyncio.gather(*(self._publish(partition, part) for partition, part in by_partition.items()))

    async def _publish(self, partition: int, messages: Sequence[Message]) -> None:
        for start in range(0, len(messages), MESSAGES_A_RECORD):
            record = encode_record("", messages[start : start + MESSAGES_A_RECORD])
            await self._bus.publish(OTA_DATA, partition, record)


def _message(one: Announcement) -> Message:
    """Platform origin: no epoch. The id is derived from the outbox entry, so telling twice repeats it."""
    return Message(
        id=derive(one.at_ms, f"ota/{one.id}/{one.topic}"),
        product_key=one.product_key,
        device_name=one.device_name,
        topic=one.topic,
        payload=one.body,
        received_ms=one.at_ms,
        qos=1,
    )
