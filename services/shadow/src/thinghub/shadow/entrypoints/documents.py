"""Bus records to the documents: devices' requests, and who came online or was deleted."""

import asyncio
import logging
from collections.abc import Iterator, Sequence

import orjson
from google.protobuf.message import DecodeError

from thinghub.common.bus.port import BusRecord
from thinghub.device_protocol.bodies import lifecycle_topic, status_topic
from thinghub.device_protocol.records import FORMAT, OLDEST_FORMAT, RecordFormatError
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.service.document_observation import DocumentObservation
from thinghub.shadow.service.documents import Arrived, Documents
from thinghubpb.bus.v1 import record_pb2

# Messages handled in one go: what a device waits for while the others are done, against calls saved. And how many of
# these at once, whatever the number of partitions: one waits for Redis while another is worked on.
MAX_BATCH = 1000
AT_ONCE = 2
log = logging.getLogger("thinghub.shadow.documents")


class DocumentMessages:
    """A bus handler of `device.shadow`: returns when the effects of all records are stored."""

    def __init__(self, documents: Documents, observation: DocumentObservation) -> None:
        self._documents = documents
        self._observation = observation
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        batch: list[Arrived] = []
        for record in records:
            decoded = decode(record, self._observation)
            if batch and len(batch) + len(decoded.messages) > MAX_BATCH:
                await self._handle(batch)
                batch = []
            batch.extend((decoded.origin, message) for message in decoded.messages)
        if batch:
            await self._handle(batch)

    async def _handle(self, batch: Sequence[Arrived]) -> None:
        sampled = [message.traceparent for _, message in batch if message.traceparent]
        async with self._turn:
            with self._observation.spans(sampled, len(batch)):
                await self._documents.handle(batch)


class DocumentPresence:
    """A bus handler of `device.lifecycle`. Of a device's statuses in one batch the last decides."""

    def __init__(self, documents: Documents, observation: DocumentObservation) -> None:
        self._documents = documents
        self._observation = observation

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        online: dict[Device, bool] = {}
        deleted: dict[Device, int] = {}
        for message in self._messages(records):
            device = Device(message.product_key, message.device_name)
            if message.topic == status_topic(*device):
                online[device] = self._word(message, "status") == "online"
            elif message.topic == lifecycle_topic(*device) and self._word(message, "action") == "delete":
                deleted[device] = message.received_ms
        if deleted:
            await self._documents.deleted(list(deleted.items()))
        came = [device for device, is_online in online.items() if is_online]
        for start in range(0, len(came), MAX_BATCH):
            await self._documents.came_online(came[start : start + MAX_BATCH])

    def _messages(self, records: Sequence[BusRecord]) -> Iterator[record_pb2.Message]:
        for record in records:
            yield from decode(record, self._observation).messages

    def _word(self, message: record_pb2.Message, member: str) -> object:
        try:
            return orjson.loads(message.payload)[member]
        except (ValueError, KeyError, TypeError):
            self._observation.malformed(1)
            return None


def decode(record: BusRecord, observation: DocumentObservation) -> record_pb2.Record:
    """An empty record in place of bytes that are none: they would not become readable by coming again. Raises
    RecordFormatError for a newer layout, which a newer release will read."""
    try:
        decoded = record_pb2.Record.FromString(record.value)
    except DecodeError:
        log.error("%s/%d@%d is not a bus record and is skipped", record.topic, record.partition, record.offset)
        observation.malformed(1)
        return record_pb2.Record()
    if not OLDEST_FORMAT <= decoded.format <= FORMAT:
        raise RecordFormatError(f"record format {decoded.format} is not known to this release")
    return decoded
