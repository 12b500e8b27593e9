"""Bus records to thing data, and news of thing models."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from google.protobuf.message import DecodeError

from thinghub.common.bus.port import BusRecord
from thinghub.device_protocol.records import RecordFormatError, decode_record
from thinghub.shadow.service.thing_lookups import ThingModels
from thinghub.shadow.service.thing_observation import ThingObservation
from thinghub.shadow.service.things import Arrived
from thinghubpb.bus.v1 import control_pb2, record_pb2

# Messages handled in one go: what a device waits for while the others are done, against calls saved.
MAX_BATCH = 1000
# The same in bytes: one message may carry 200 values, each with rows and messages of its own.
MAX_BYTES = 1 << 20
HandleBatch = Callable[[Sequence[Arrived]], Awaitable[None]]
log = logging.getLogger("thinghub.shadow.things")


class ThingMessages:
    """A bus handler of `device.thing`: returns when the effects of all records are stored."""

    def __init__(self, handlers: Sequence[HandleBatch], observation: ThingObservation) -> None:
        """Each handler sees every message and passes over what is not its own."""
        self._handlers = handlers
        self._observation = observation

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        batch: list[Arrived] = []
        size = 0
        for record in records:
            batch.extend(self._messages(record))
            size += len(record.value)
            if len(batch) >= MAX_BATCH or size >= MAX_BYTES:
                await self._handle(batch)
                batch, size = [], 0
        if batch:
            await self._handle(batch)

    def _messages(self, record: BusRecord) -> list[Arrived]:
        """None of bytes that are no record: they would not become readable by coming again. Raises RecordFormatError
        for a newer layout, which a newer release will read."""
        try:
            decoded = decode_record(record.value)
        except RecordFormatError as error:
            if not _is_record(record.value):
                log.error("%s/%d@%d is not a bus record and is skipped", record.topic, record.partition, record.offset)
                self._observation.posts({"malformed_record": 1})
                return []
            raise error
        return [(decoded.origin, message) for message in decoded.messages]

    async def _handle(self, batch: Sequence[Arrived]) -> None:
        sampled = [message.traceparent for _, message in batch if message.traceparent]
        with self._observation.spans(sampled, len(batch)):
            for handle in self._handlers:
                await handle(batch)


class ThingControl:
    """A tail of `control`: a published thing model is read before the next post is judged."""

    def __init__(self, models: ThingModels) -> None:
        self._models = models

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        for record in records:
            try:
                event = control_pb2.ControlEvent.FromString(record.value)
            except DecodeError:
                continue
            if event.WhichOneof("change") == "thing_model_changed":
                self._models.changed(event.thing_model_changed.product_key)


def _is_record(value: bytes) -> bool:
    try:
        record_pb2.Record.FromString(value)
    except DecodeError:
        return False
    return True
