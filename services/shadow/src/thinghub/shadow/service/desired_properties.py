"""Desired properties: what servers want a device to be, beside what it reports.

A server sets values, each with a version; a device that is online is told at once by a property set, any other asks
when it comes (`thing/property/desired/get`). A reported value that meets the desired one clears nothing: the device
does, when it has done its part (`.../desired/delete`).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import orjson

from thinghub.common.errors import Fault
from thinghub.device_protocol import alink
from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.message_ids import derive
from thinghub.device_protocol.records import Message
from thinghub.device_protocol.tsl.model import Property
from thinghub.shadow.domain.desired_requests import (
    MAX_IDENTIFIERS,
    QUERY_FAILED,
    Cleared,
    is_desired,
    read_desired,
    version_of,
)
from thinghub.shadow.domain.thing_models import ThingModel
from thinghub.shadow.domain.thing_posts import SUCCESS, Refused
from thinghub.shadow.errors import DesiredInvalid, ThingModelMissing
from thinghub.shadow.ports.desired import Asked, Desired, DesiredStore
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import Properties, Senders, Sending
from thinghub.shadow.service.thing_items import settable
from thinghub.shadow.service.thing_lookups import ThingModels
from thinghub.shadow.service.thing_observation import Tally, ThingObservation

_SET = "thing.service.property.set"
# What a message to a device may have.
MAX_REPLY = 256 * 1024
_TURNS = 64
log = logging.getLogger("thinghub.shadow.desired")


class Shown(NamedTuple):
    property: Property
    desired: Desired


class _Request(NamedTuple):
    """`code` is not 200: refused already; else `asked` is the place of its answer."""

    origin: str
    message: Message
    request: alink.Request
    code: int = Alink.SUCCESS
    text: str = SUCCESS
    asked: int = -1


class DesiredProperties:
    """`now_ms` gives epoch milliseconds."""

    def __init__(
        self,
        models: ThingModels,
        store: DesiredStore,
        properties: Properties,
        senders: Senders,
        observation: ThingObservation,
        now_ms: Callable[[], int],
    ) -> None:
        self._models = models
        self._store = store
        self._properties = properties
        self._senders = senders
        self._observation = observation
        self._now_ms = now_ms
        # Of one device, what was set last is also told last.
        self._turns = [asyncio.Lock() for _ in range(_TURNS)]

    async def set(self, device: Device, items: str, versions: str, qos: int = 0) -> tuple[str, Mapping[str, int]]:
        """The id of the message to the device, and the versions. Stored when this returns; whether the device was there
        to be told makes no difference. Raises PropertiesInvalid, DesiredInvalid, DesiredVersionConflict,
        ThingModelMissing, StoreUnavailable."""
        values = settable(items, await self._model(device))
        expected = _expected(versions, values)
        async with self._turns[hash(device) % _TURNS]:
            (number,) = await self._properties.next_ids([device])
            stored = await self._store.set(device, values, expected, self._now_ms())
            await self._tell(device, number, values, qos)
        return str(number), stored

    async def get(self, device: Device, identifiers: Sequence[str], module: str) -> list[Shown]:
        """One an identifier; without any, one a property of the module. Raises DesiredInvalid, ThingModelMissing,
        StoreUnavailable."""
        known = (await self._model(device)).validator.properties
        if len(identifiers) > MAX_IDENTIFIERS or not known.keys() >= set(identifiers):
            raise DesiredInvalid(f"1 to {MAX_IDENTIFIERS} properties of the thing model are named, or none")
        wanted = identifiers or [one for one in known if one.rpartition(":")[0] == module]
        found = await self._store.get(device, wanted)
        return [Shown(known[identifier], one) for identifier, one in zip(wanted, found, strict=True)]

    async def clear(self, device: Device, identifiers: Sequence[str]) -> Mapping[str, int]:
        """Whatever their versions, which they keep. Raises DesiredInvalid, ThingModelMissing, StoreUnavailable."""
        if not identifiers:
            raise DesiredInvalid("no property is named")
        shown = await self.get(device, identifiers, "")
        await self._store.run([Asked(device, Cleared(dict.fromkeys(identifiers)))])
        return {one.property.identifier: one.desired.version for one in shown}

    async def forget(self, deleted: Sequence[tuple[Device, int]]) -> None:
        """Of devices deleted at epoch milliseconds. Raises StoreUnavailable."""
        await self._store.forget(deleted)

    async def handle(self, batch: Sequence[tuple[str, Message]]) -> None:
        """Answers what devices ask; passes over all other messages. Raises StoreUnavailable: the batch has to come
        again."""
        asked: list[Asked] = []
        requests = [_read(origin, message, asked) for origin, message in batch if is_desired(message.topic)]
        if not requests:
            return
        answers = await self._store.run(asked)
        self._observation.posts(Tally(_outcome(one) for one in requests))
        await self._answer([_reply(one, answers) for one in requests if one.request.ack])

    async def _answer(self, replies: Sequence[Sending]) -> None:
        """A reply that no gateway takes is lost: the device asks again."""
        try:
            self._observation.replies(await self._senders.send(replies))
        except Fault as fault:
            log.warning("%d replies were not sent: %s", len(replies), fault.message)
            self._observation.replies({"unavailable": len(replies)})

    async def _tell(self, device: Device, number: int, values: Mapping[str, object], qos: int) -> None:
        """QoS 0 by itself: a device that is away asks when it comes, and must not find older commands queued."""
        topic = f"/sys/{device.product_key}/{device.device_name}/thing/service/property/set"
        payload = alink.command(str(number), _SET, values)
        sending = Sending(device, topic, payload, derive(self._now_ms(), f"{topic}/{number}"), qos)
        try:
            self._observation.desired(await self._senders.send([sending]))
        except Fault as fault:
            log.warning("a desired property was stored and its device not told: %s", fault.message)
            self._observation.desired({"unavailable": 1})

    async def _model(self, device: Device) -> ThingModel:
        model = (await self._models.get([device.product_key])).get(device.product_key)
        if model is None or not model.version:
            raise ThingModelMissing("the product has no published thing model")
        return model


def _expected(versions: str, values: Mapping[str, object]) -> dict[str, int]:
    """Raises DesiredInvalid."""
    if not versions.strip():
        return {}
    try:
        given = orjson.loads(versions)
    except orjson.JSONDecodeError as error:
        raise DesiredInvalid("Versions is not JSON") from error
    if not isinstance(given, dict) or not values.keys() >= given.keys():
        raise DesiredInvalid("Versions is an object of the properties that Items has")
    expected = {identifier: version for identifier, one in given.items() if (version := version_of(one)) is not None}
    if len(expected) != len(given):
        raise DesiredInvalid("a version is an integer, 0 for a property that never was desired")
    return expected


def _read(origin: str, message: Message, asked: list[Asked]) -> _Request:
    """Adds what is to be done to `asked`."""
    try:
        request = alink.parse_request(message.payload)
    except alink.AlinkError as error:
        return _Request(origin, message, alink.Request(""), Alink.REQUEST_ERROR, f"request error: {error}")
    try:
        what = read_desired(message.topic, request.params)
    except Refused as refused:
        return _Request(origin, message, request, refused.code, refused.message)
    device = Device(message.product_key, message.device_name)
    asked.append(Asked(device, what, (message.epoch, message.sequence)))
    return _Request(origin, message, request, asked=len(asked) - 1)


def _reply(one: _Request, answers: Sequence[Mapping[str, Desired] | None]) -> Sending:
    message, code, text = one.message, one.code, one.text
    data: object = {}
    if one.asked >= 0 and (found := answers[one.asked]) is not None:
        data = {identifier: {"value": held.value, "version": held.version} for identifier, held in found.items()}
    elif one.asked >= 0:
        code, text = QUERY_FAILED, "the desired properties cannot be read"
    method = ".".join(message.topic.split("/")[4:])
    payload = alink.reply(one.request, code, text, data, method)
    if len(payload) > MAX_REPLY:
        payload = alink.reply(one.request, QUERY_FAILED, "too large for a message: name fewer properties", {}, method)
    device = Device(message.product_key, message.device_name)
    reply_id = derive(message.id, "thing reply")
    topic = message.topic + alink.REPLY
    return Sending(device, topic, payload, reply_id, min(message.qos, 1), one.origin, message.handle)


def _outcome(one: _Request) -> str:
    if one.code == Alink.REQUEST_ERROR:
        return "malformed"
    if one.code != Alink.SUCCESS:
        return f"refused_{one.code}"
    return "desired_get" if one.message.topic.endswith("/get") else "desired_delete"
