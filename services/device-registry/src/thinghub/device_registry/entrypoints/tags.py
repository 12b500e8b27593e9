"""The consumer of `device.tags`: what devices say of themselves, in, replies out."""

import logging
from collections.abc import Iterator, Sequence

from thinghub.common.bus.port import BusRecord
from thinghub.device_protocol.alink import AlinkError, Request
from thinghub.device_protocol.message_ids import derive
from thinghub.device_protocol.records import Message, RecordFormatError, decode_record
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.tags import TagsRefused, read_change
from thinghub.device_registry.service.tags import Asked, Tags

MAX_BATCH = 500
STAGE = "tags reply"


class TagConsumer:
    """A bus handler: returns when the effects are stored. What cannot be read is answered as a parameter error, or
    passed over when there is nobody to answer."""

    def __init__(self, tags: Tags, log: logging.Logger) -> None:
        self._tags = tags
        self._log = log

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        asked = [one for record in records for one in self._read(record)]
        for start in range(0, len(asked), MAX_BATCH):
            await self._tags.handle(asked[start : start + MAX_BATCH])

    def _read(self, record: BusRecord) -> Iterator[Asked]:
        try:
            decoded = decode_record(record.value)
        except RecordFormatError as error:
            self._log.error("a record of %s was passed over: %s", record.topic, error)
            return
        for message in decoded.messages:
            yield _asked(message, decoded.origin)


def _asked(message: Message, origin: str) -> Asked:
    device = DeviceId(message.product_key, message.device_name)
    rest = device, message.topic, derive(message.id, STAGE), origin, message.handle
    try:
        request, change = read_change(message.payload, message.topic, device, message.epoch, message.sequence)
    except TagsRefused as error:
        return Asked(error.request, *rest, None, error.message)
    except AlinkError as error:
        return Asked(Request(""), *rest, None, str(error))
    return Asked(request, *rest, change)
