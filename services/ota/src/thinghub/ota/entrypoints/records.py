"""The bus to the service: `device.ota` and `device.lifecycle`, decoded once."""

import logging
from collections.abc import Sequence

import orjson

from thinghub.common.bus.port import BusRecord
from thinghub.device_protocol import ota
from thinghub.device_protocol.bodies import lifecycle_topic, status_topic
from thinghub.device_protocol.bus_topics import DEVICE_LIFECYCLE, DEVICE_OTA
from thinghub.device_protocol.records import Message, Record, RecordFormatError, decode_record
from thinghub.ota.domain.models import DeviceId
from thinghub.ota.ports.others import Counts
from thinghub.ota.ports.store import Event, Gone, Informed, Online, Progressed
from thinghub.ota.service.reports import AskedBy, Question, ReportService

GROUP = "ota"
TOPICS = (DEVICE_OTA, DEVICE_LIFECYCLE)
_GET = "/thing/ota/firmware/get"


class Records:
    """A bus handler: returns when the effects are stored. What cannot be read is counted and passed over, because it
    would not become readable by coming again."""

    def __init__(self, reports: ReportService, counts: Counts, log: logging.Logger) -> None:
        self._reports = reports
        self._counts = counts
        self._log = log

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        events: list[Event] = []
        questions: list[Question] = []
        for record in records:
            decoded = self._decode(record)
            for message in decoded.messages if decoded else ():
                read = self._read(message, decoded.origin if decoded else "")
                if isinstance(read, Question):
                    questions.append(read)
                elif read is not None:
                    events.append(read)
        await self._reports.take(events, questions)

    def _decode(self, record: BusRecord) -> Record | None:
        try:
            return decode_record(record.value)
        except RecordFormatError as error:
            self._counts.reports("malformed_record")
            self._log.error("a record of %s was passed over: %s", record.topic, error)
            return None

    def _read(self, message: Message, origin: str) -> Event | Question | None:
        try:
            read = _read(message, origin)
        except ota.MalformedOta as error:
            self._counts.reports("malformed")
            self._log.debug("%s of %s: %s", message.topic, message.device_name, error)
            return None
        if read is not None:
            self._counts.reports(type(read).__name__.lower())
        return read


def _read(message: Message, origin: str) -> Event | Question | None:
    """None for what is not ota's. Raises MalformedOta."""
    device = DeviceId(message.product_key, message.device_name)
    own = f"/{message.product_key}/{message.device_name}"
    at = message.epoch, message.sequence
    if message.topic == f"/ota/device/inform{own}":
        inform = ota.read_inform(message.payload)
        return Informed(device, *at, inform.module, inform.version, message.received_ms)
    if message.topic == f"/ota/device/progress{own}":
        progress = ota.read_progress(message.payload)
        return Progressed(device, *at, progress.module, progress.step, progress.desc, message.received_ms)
    if message.topic in (f"/ota/device/request{own}", f"/sys{own}{_GET}"):
        by = AskedBy.FIRMWARE_GET if message.topic.endswith(_GET) else AskedBy.REQUEST
        return Question(device, by, ota.read_ask(message.payload), message.id, origin, message.handle)
    return _lifecycle(message, device)


def _lifecycle(message: Message, device: DeviceId) -> Event | None:
    if message.topic == status_topic(*device) and message.epoch > 0:
        if _member(message, "status") == "online":
            return Online(device, message.epoch, message.received_ms)
    elif message.topic == lifecycle_topic(*device) and _member(message, "action") == "delete":
        return Gone(device, _member(message, "iotId"), message.received_ms)
    return None


def _member(message: Message, name: str) -> str:
    """Raises MalformedOta."""
    try:
        return str(orjson.loads(message.payload)[name])
    except (ValueError, KeyError, TypeError) as error:
        raise ota.MalformedOta(f"the body has no {name}") from error
