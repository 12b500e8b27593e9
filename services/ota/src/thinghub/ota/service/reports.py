"""What devices say: versions, progress, questions, and that they are back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from thinghub.device_protocol import ota
from thinghub.device_protocol.message_ids import derive
from thinghub.ota.domain.models import DeviceId
from thinghub.ota.ports.others import Counts, Devices, Downlink, Registry, Told
from thinghub.ota.ports.store import Event, Informed, Progressed, Reports
from thinghub.ota.service.packages import Offers

AT_ONCE = 200


class AskedBy(Enum):
    FIRMWARE_GET = auto()
    REQUEST = auto()


@dataclass(frozen=True, slots=True)
class Question:
    """`origin` and `handle` name the connection it came by; `message_id` is its own."""

    device: DeviceId
    by: AskedBy
    ask: ota.Ask
    message_id: int
    origin: str
    handle: int


class ReportService:
    """`wake` is called when a device may have to be told something now."""

    def __init__(
        self,
        reports: Reports,
        registry: Registry,
        devices: Devices,
        offers: Offers,
        counts: Counts,
        clock_ms: Callable[[], int],
        resend_ms: int,
        wake: Callable[[], None],
    ) -> None:
        self._reports = reports
        self._registry = registry
        self._devices = devices
        self._offers = offers
        self._counts = counts
        self._clock_ms = clock_ms
        self._resend_ms = resend_ms
        self._wake = wake

    async def take(self, events: Sequence[Event], questions: Sequence[Question]) -> None:
        """Returns when the events are stored and the questions answered; repeating it changes nothing, and answers
        again. Raises Unavailable."""
        for start in range(0, len(events), AT_ONCE):
            part = events[start : start + AT_ONCE]
            await self._learn(part)
            await self._reports.apply(part, self._resend_ms)
        if events:
            self._wake()
        for start in range(0, len(questions), AT_ONCE):
            await self._answer(questions[start : start + AT_ONCE])

    async def _learn(self, events: Sequence[Event]) -> None:
        """Devices that speak for the first time. One that the registry does not know stays unknown."""
        speaking = {event.device for event in events if isinstance(event, Informed | Progressed)}
        if not speaking:
            return
        new = sorted(speaking - (await self._reports.known(sorted(speaking))).keys())
        if new and (found := await self._registry.find(new)):
            await self._reports.learn(dict(sorted(found.items())))

    async def _answer(self, questions: Sequence[Question]) -> None:
        found = [await self._reports.open_task(one.device, one.ask.module) for one in questions]
        offers = [await self._offers.of(due.firmware) if due else None for due in found]
        answers = [_answer(one, offer) for one, offer in zip(questions, offers, strict=True)]
        outcomes = await self._devices.deliver(answers) if answers else ()
        self._counts.reports("answered", len(answers))
        for due, told in zip(found, outcomes, strict=True):
            if due and told is Told.TOLD:
                await self._reports.asked(due.task, self._clock_ms())


def _answer(question: Question, offer: ota.Package | None) -> Downlink:
    if question.by is AskedBy.FIRMWARE_GET:
        topic = ota.firmware_get_reply_topic(*question.device)
        payload = ota.firmware_get_reply(question.ask, offer)
    else:
        topic = ota.upgrade_topic(*question.device)
        payload = ota.request_answer(question.ask, offer)
    message_id = derive(question.message_id, "ota")
    return Downlink(question.device, topic, payload, message_id, question.origin, question.handle)
