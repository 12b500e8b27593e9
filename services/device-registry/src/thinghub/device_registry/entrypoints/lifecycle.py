"""The consumer of `device.lifecycle`: records in, the status projection fed."""

import logging
from collections.abc import Sequence

from thinghub.common.bus.port import BusRecord
from thinghub.device_protocol.records import Message, RecordFormatError, decode_record
from thinghub.device_registry.domain.status import NotAStatus, StatusChange, read_status
from thinghub.device_registry.service.projection import Counts, Projection


class LifecycleConsumer:
    """A bus handler: returns when the effects are stored. What cannot be read is counted and passed over, because it
    would not become readable by coming again."""

    def __init__(self, projection: Projection, counts: Counts, log: logging.Logger) -> None:
        self._projection = projection
        self._counts = counts
        self._log = log

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        changes = [
            change for record in records for message in self._messages(record) if (change := self._read(message))
        ]
        if changes:
            await self._projection.apply(changes)

    def _messages(self, record: BusRecord) -> Sequence[Message]:
        try:
            return decode_record(record.value).messages
        except RecordFormatError as error:
            self._counts.malformed(1)
            self._log.error("a record of %s was passed over: %s", record.topic, error)
            return ()

    def _read(self, message: Message) -> StatusChange | None:
        try:
            return read_status(message)
        except NotAStatus as error:
            self._counts.malformed(1)
            self._log.warning("a status was passed over: %s", error)
            return None
