"""The consumer of `device.model`: devices that ask for their thing model."""

import logging
from collections.abc import Iterator, Sequence

from thinghub.common.bus.port import BusRecord
from thinghub.device_protocol.alink import AlinkError, Request, parse_request
from thinghub.device_protocol.message_ids import derive
from thinghub.device_protocol.records import RecordFormatError, decode_record
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.service.thing_model_reports import Asked, ThingModelReports, What

MAX_BATCH = 100
STAGE = "thing model reply"
_TOPICS = {"thing/dsltemplate/get": What.TEMPLATE, "thing/dynamicTsl/get": What.DYNAMIC}


class ThingModelConsumer:
    """A bus handler. What cannot be read is answered as a parameter error."""

    def __init__(self, reports: ThingModelReports, log: logging.Logger) -> None:
        self._reports = reports
        self._log = log

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        asked = [one for record in records for one in self._read(record)]
        for start in range(0, len(asked), MAX_BATCH):
            await self._reports.handle(asked[start : start + MAX_BATCH])

    def _read(self, record: BusRecord) -> Iterator[Asked]:
        try:
            decoded = decode_record(record.value)
        except RecordFormatError as error:
            self._log.error("a record of %s was passed over: %s", record.topic, error)
            return
        for message in decoded.messages:
            device = DeviceId(message.product_key, message.device_name)
            what = _TOPICS.get(message.topic.removeprefix(f"/sys/{device.product_key}/{device.device_name}/"))
            if what is not None:
                to = device, message.topic, derive(message.id, STAGE), decoded.origin, message.handle
                yield Asked(what, _request(message.payload), *to)


def _request(payload: bytes) -> Request | None:
    try:
        return parse_request(payload)
    except AlinkError:
        return None
