"""Calls of servers to devices: property sets and services, told and gone, or waited for.

judge by the thing model ── id of the device's next command (Redis)
                         ── record of the call (PostgreSQL), unless the product is not stored
                         ├── asynchronous: Deliver; the device's answer comes by the bus (service/things.py), or
                         │   the platform's, when the device is away (service/unreached_calls.py)
                         └── synchronous: Request, and the answer goes into the record and to the caller
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from thinghub.common.errors import Fault
from thinghub.device_protocol.alink import AlinkError
from thinghub.device_protocol.message_ids import derive
from thinghub.shadow.domain.thing_commands import (
    MAX_MESSAGE,
    Answer,
    Command,
    property_set,
    read_answer,
    service_call,
    service_of,
)
from thinghub.shadow.domain.thing_models import ThingModel
from thinghub.shadow.errors import (
    AnswerUnreadable,
    CallHalfConnected,
    CallNotSent,
    CallOffline,
    CallRefused,
    CallTimeout,
    ServiceNotAsynchronous,
    StoreUnavailable,
    ThingModelMissing,
    TooManyCalls,
)
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.thing_calls import AnswerRow, CallRow, Calls, Commands, Ended, Requests
from thinghub.shadow.ports.things import Properties, Sending, Span
from thinghub.shadow.service.thing_items import settable
from thinghub.shadow.service.thing_lookups import ThingModels
from thinghub.shadow.service.thing_observation import Tally, ThingObservation
from thinghub.shadow.service.thing_reports import check_span
from thinghub.shadow.service.unreached_calls import UnreachedCalls

TIMEOUT_MS: Final = 8000
# Synchronous calls that this process waits for at a time.
MAX_WAITING: Final = 2000
MAX_DEVICES: Final = 100
log = logging.getLogger("thinghub.shadow.calls")

_FAULTS: Final[dict[Ended, Callable[[], Fault]]] = {
    Ended.TIMEOUT: lambda: CallTimeout("The device did not answer in time."),
    Ended.OFFLINE: lambda: CallOffline("The device is offline."),
    Ended.HALF_CONNECTED: lambda: CallHalfConnected("The device did not acknowledge the call."),
    Ended.NOT_SENT: lambda: CallNotSent("The call could not be sent."),
}


class ThingCalls:
    """`now_ms` gives epoch milliseconds. Ids of calls are those in the messages: they count up by device, from 1."""

    def __init__(
        self,
        models: ThingModels,
        properties: Properties,
        calls: Calls,
        commands: Commands,
        requests: Requests,
        unreached: UnreachedCalls,
        observation: ThingObservation,
        now_ms: Callable[[], int],
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._models = models
        self._properties = properties
        self._calls = calls
        self._commands = commands
        self._requests = requests
        self._unreached = unreached
        self._observation = observation
        self._now_ms = now_ms
        self._max_waiting = max_waiting
        self._waiting = 0

    async def set(self, devices: Sequence[Device], items: str, qos: int) -> list[int]:
        """Sends a property set to devices of one product; the ids, in order. A device that is away and has no
        persistent session never gets it: that is no fault, and told to rules (code 9201). Raises ThingModelMissing,
        PropertiesInvalid, StoreUnavailable, CallNotSent, Unavailable."""
        model = await self._model(devices[0])
        return await self._tell(devices, property_set(settable(items, model)), model, qos)

    async def tell(self, devices: Sequence[Device], identifier: str, arguments: str, qos: int) -> list[int]:
        """The same of an asynchronous service. Raises also ServiceUnknown, ServiceNotAsynchronous,
        ServiceArgumentsInvalid."""
        model = await self._model(devices[0])
        service = service_of(identifier, model)
        if service.sync:
            raise ServiceNotAsynchronous(f"{identifier} is called synchronously, one device at a time")
        return await self._tell(devices, service_call(service, arguments, model), model, qos)

    async def invoke(self, device: Device, identifier: str, arguments: str, qos: int) -> tuple[int, str]:
        """Calls a service as the thing model says; the id, and for a synchronous one the answer's data as JSON. Raises
        as `tell`, and TooManyCalls, CallOffline, CallTimeout, CallHalfConnected, CallRefused, AnswerUnreadable."""
        model = await self._model(device)
        service = service_of(identifier, model)
        command = service_call(service, arguments, model)
        if service.sync:
            return await self._ask(device, command, model)
        (number,) = await self._tell([device], command, model, qos)
        return number, ""

    async def find(self, device: Device, identifier: str, span: Span) -> tuple[Sequence[CallRow], int]:
        """And the time to go on with, 0 for none. Raises SpanInvalid, StoreUnavailable."""
        check_span(span)
        found = await self._calls.find(device, identifier, span)
        return found[: span.limit], found[span.limit].received_ms if len(found) > span.limit else 0

    async def _tell(self, devices: Sequence[Device], command: Command, model: ThingModel, qos: int) -> list[int]:
        now_ms = self._now_ms()
        numbers = await self._properties.next_ids(devices)
        await self._begin(devices, numbers, command, model, now_ms)
        messages = []
        for device, number in zip(devices, numbers, strict=True):
            topic = _topic(device, command)
            message_id = derive(now_ms, f"{topic}/{number}")
            messages.append(Sending(device, topic, command.payload(number), message_id, qos))
        outcomes = await self._commands.outcomes(messages)
        self._observation.calls(Tally(outcomes))
        sent = zip(messages, numbers, outcomes, strict=True)
        await self._unreached.tell([(one, number) for one, number, outcome in sent if outcome == "offline"], now_ms)
        if failed := Tally(outcomes)["failed"]:
            raise CallNotSent(f"{failed} of {len(messages)} messages could not be sent")
        return list(numbers)

    async def _ask(self, device: Device, command: Command, model: ThingModel) -> tuple[int, str]:
        if self._waiting >= self._max_waiting:
            raise TooManyCalls("too many synchronous calls are under way")
        self._waiting += 1
        try:
            (number,) = await self._properties.next_ids([device])
            await self._begin([device], [number], command, model, self._now_ms())
            payload = command.payload(number)
            exchange = await self._requests.request(device, _topic(device, command), payload, TIMEOUT_MS)
        finally:
            self._waiting -= 1
        self._observation.calls({exchange.ended.value: 1})
        if exchange.ended is not Ended.ANSWERED:
            raise _FAULTS[exchange.ended]()
        answer = _read(exchange.payload)
        await self._answered(device, number, command, model, answer)
        if answer.code != 200:
            raise CallRefused(f"The device answered {answer.code}: {answer.message[:MAX_MESSAGE]}")
        return number, answer.output()

    async def _begin(
        self, devices: Sequence[Device], numbers: Sequence[int], command: Command, model: ThingModel, now_ms: int
    ) -> None:
        if not model.stored:
            return
        given = command.input()
        await self._calls.begin(
            [
                CallRow(device, now_ms, number, command.identifier, command.name, given)
                for device, number in zip(devices, numbers, strict=True)
            ]
        )

    async def _answered(self, device: Device, number: int, command: Command, model: ThingModel, answer: Answer) -> None:
        """The device has done it: what its record lacks is no reason to tell the caller that it failed."""
        if not model.stored:
            return
        row = AnswerRow(device, number, command.identifier, self._now_ms(), answer.code, answer.output())
        try:
            await self._calls.answered([row])
        except StoreUnavailable as fault:
            log.warning("an answer is not in the record of calls: %s", fault.message)

    async def _model(self, device: Device) -> ThingModel:
        model = (await self._models.get([device.product_key])).get(device.product_key)
        if model is None or not model.version:
            raise ThingModelMissing("the product has no published thing model")
        return model


def _topic(device: Device, command: Command) -> str:
    return f"/sys/{device.product_key}/{device.device_name}/{command.below}"


def _read(payload: bytes) -> Answer:
    try:
        return read_answer(payload)
    except AlinkError as error:
        raise AnswerUnreadable(f"The device's answer cannot be read: {error}.") from error
