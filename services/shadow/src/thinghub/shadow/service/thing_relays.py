"""Posts that speak for several devices, judged part by part: packs of gateways, and histories.

Each part is judged by the thing model of its own device and leaves behind what a post of that device would. One part
that is refused refuses the whole post. Which sub-devices a gateway holds is asked in one call a gateway and batch, and
remembered for ten seconds when it does: for so long one that was removed may still be spoken for.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from thinghub.common.errors import RemoteFault
from thinghub.device_protocol import alink
from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.message_ids import derive
from thinghub.device_protocol.records import Message
from thinghub.shadow.domain import thing_bodies as bodies
from thinghub.shadow.domain.thing_models import ThingModel
from thinghub.shadow.domain.thing_parts import HISTORY, PACK, Part, read_parts
from thinghub.shadow.domain.thing_posts import (
    MAX_EVENTS,
    MAX_PROPERTIES,
    NO_TOPOLOGY,
    SUCCESS,
    TOO_MANY_EVENTS,
    TOO_MANY_PROPERTIES,
    Item,
    Post,
    PostReader,
    Refused,
)
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.relays import Relayed, Topology
from thinghub.shadow.ports.things import EventRow, PropertyRow
from thinghub.shadow.service.thing_rows import rows_of

HELD_S = 10.0
MAX_HELD = 200_000
MAX_CALLS = 16
# Kinds of faults that say of a gateway that it holds nothing.
_GONE = frozenset({"NotFound", "InvalidArgument", "FailedPrecondition"})
_TOPICS = {f"/thing/event/{what}/post": what for what in (PACK, HISTORY)}
_SUFFIXES = tuple(_TOPICS)


class Relations:
    """`clock` gives seconds that only rise."""

    def __init__(self, topology: Topology, clock: Callable[[], float]) -> None:
        self._topology = topology
        self._clock = clock
        self._held: dict[tuple[Device, Device], float] = {}
        self._calls = asyncio.Semaphore(MAX_CALLS)

    async def held(self, named: Mapping[Device, Iterable[Device]]) -> set[tuple[Device, Device]]:
        """Gateways with what they name, those pairs that are related. Raises Unavailable."""
        now = self._clock()
        pairs = {(gateway, device) for gateway, devices in named.items() for device in devices}
        unknown = [pair for pair in pairs if self._held.get(pair, 0.0) <= now]
        asked: dict[Device, list[Device]] = {}
        for gateway, device in unknown:
            asked.setdefault(gateway, []).append(device)
        if len(self._held) + len(unknown) > MAX_HELD:
            self._held = {pair: until for pair, until in self._held.items() if until > now}
        answers = await asyncio.gather(*(self._ask(gateway, devices) for gateway, devices in asked.items()))
        fresh = {pair for answer in answers for pair in answer}
        self._held.update(dict.fromkeys(fresh, now + HELD_S))
        return (pairs - set(unknown)) | fresh

    async def _ask(self, gateway: Device, devices: Sequence[Device]) -> set[tuple[Device, Device]]:
        async with self._calls:
            try:
                held = await self._topology.held(gateway, devices)
            except RemoteFault as fault:
                if fault.kind not in _GONE:
                    raise
                return set()
        return {(gateway, device) for device, yes in zip(devices, held, strict=True) if yes}


@dataclass(slots=True)
class RelayedPost:
    """One message: read, then judged. `own` is the sender's part of a pack, the first one; None in a history."""

    message: Message
    what: str
    sender: Device
    request: alink.Request = field(default_factory=lambda: alink.Request(""))
    parts: Sequence[Part] = ()
    code: int = Alink.SUCCESS
    text: str = SUCCESS
    own: Post | None = None
    shares: list["Share"] = field(default_factory=list)

    @property
    def others(self) -> set[Device]:
        return {Device(*part.device) for part in self.parts} - {self.sender}


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a post, as what it leaves behind. `number` tells parts of one message apart."""

    message: Message
    request_id: str
    number: int
    device: Device
    model: ThingModel
    iot_id: str
    post: Post
    via: Device | None

    def latest(self) -> Relayed:
        known = self.model.validator.properties
        items = self.post.items
        newest = {one: max(values, key=_time_of) for one, values in items.items() if one in known}
        return Relayed(self.device, newest, self.via, (self.message.epoch, self.message.sequence))

    def rows(self) -> Iterator[PropertyRow]:
        if not self.model.stored:
            return
        row_id = derive(self.message.id, f"part/{self.number}")
        yield from rows_of(self.device, self.message.received_ms, row_id, self.post)

    def event_rows(self) -> Iterator[EventRow]:
        if not self.model.stored:
            return
        for number, one in enumerate(self.post.events):
            row_id = derive(self.message.id, f"part/{self.number}/event/{number}")
            event = one.event
            text = bodies.text_of(one.value)
            received_ms = self.message.received_ms
            yield EventRow(
                self.device, received_ms, row_id, one.time_ms, event.identifier, event.name, event.type, text
            )

    def data(self) -> Iterator[Message]:
        """As if the device had posted it; a history on the topics of histories."""
        identity = {
            "iotId": self.iot_id, "productKey": self.device.product_key, "deviceName": self.device.device_name
        }  # fmt: skip
        received_ms, device_type = self.message.received_ms, self.model.device_type
        topic = bodies.property_topic if self.via else bodies.property_history_topic
        moments = self._moments() or ([{}] if self.post.failed else [])
        for number, items in enumerate(moments):
            failed = {} if number else self.post.failed
            body = bodies.property_body(identity, received_ms, self.request_id, items, failed, device_type)
            yield self._derived(f"property/{number}", topic(*self.device), body)
        event_topic = bodies.event_topic if self.via else bodies.event_history_topic
        for number, one in enumerate(self.post.events):
            body = bodies.event_body(identity, received_ms, one)
            yield self._derived(f"event/{number}", event_topic(*self.device, one.event.identifier), body)

    def _moments(self) -> Sequence[Mapping[str, Item]]:
        """Of a history each time is a moment of its own."""
        return bodies.moments(self.post) if self.via else bodies.by_time(self.post)

    def _derived(self, stage: str, topic: str, body: bytes) -> Message:
        message = self.message
        return Message(
            id=derive(message.id, f"thing.data/part/{self.number}/{stage}"),
            product_key=self.device.product_key,
            device_name=self.device.device_name,
            topic=topic,
            payload=body,
            received_ms=message.received_ms,
            hops=message.hops,
            qos=message.qos,
            traceparent=message.traceparent,
        )


class Relays:
    def __init__(self, relations: Relations) -> None:
        self._relations = relations

    async def read(self, messages: Iterable[Message]) -> Mapping[int, RelayedPost]:
        """By message id, those that speak for several devices; refused where a device is no sub-device of the sender.
        Raises Unavailable."""
        found = {message.id: _read(message) for message in messages if message.topic.endswith(_SUFFIXES)}
        named: dict[Device, set[Device]] = {}
        for one in found.values():
            if others := one.others:
                named.setdefault(one.sender, set()).update(others)
        held = await self._relations.held(named) if named else set()
        for one in found.values():
            if any((one.sender, device) not in held for device in one.others):
                one.code, one.text, one.parts = NO_TOPOLOGY, "no sub-device of this gateway", ()
        return found


def judge(one: RelayedPost, models: Mapping[str, ThingModel], iot_ids: Mapping[Device, str]) -> None:
    """Fills in `own` and `shares`, or the code that refuses all of it."""
    if one.code != Alink.SUCCESS:
        return
    try:
        _judge(one, models, iot_ids)
    except Refused as refused:
        one.code, one.text, one.own = refused.code, refused.message, None
        one.shares.clear()


def _judge(one: RelayedPost, models: Mapping[str, ThingModel], iot_ids: Mapping[Device, str]) -> None:
    values = events = 0
    for number, part in enumerate(one.parts):
        device = Device(*part.device)
        model, iot_id = models.get(device.product_key), iot_ids.get(device)
        if model is None or iot_id is None:
            raise Refused(NO_TOPOLOGY, "no sub-device of this gateway")
        reader = PostReader(model, one.message.received_ms, past=one.what == HISTORY)
        read = reader.pack if one.what == PACK else reader.history
        post = read(part.properties, part.events)
        if post.code != Alink.SUCCESS:
            raise Refused(post.code, f"{post.message} of {'/'.join(device)}")
        values += sum(map(len, post.items.values())) + len(post.failed)
        events += len(post.events)
        if values > MAX_PROPERTIES:
            raise Refused(TOO_MANY_PROPERTIES, f"more than {MAX_PROPERTIES} properties")
        if events > MAX_EVENTS:
            raise Refused(TOO_MANY_EVENTS, f"more than {MAX_EVENTS} events")
        if one.what == PACK and not number:
            one.own = post
            continue
        via = one.sender if one.what == PACK else None
        one.shares.append(Share(one.message, one.request.id, number, device, model, iot_id, post, via))


def _read(message: Message) -> RelayedPost:
    sender = Device(message.product_key, message.device_name)
    what = next(what for suffix, what in _TOPICS.items() if message.topic.endswith(suffix))
    one = RelayedPost(message, what, sender)
    try:
        one.request = alink.parse_request(message.payload)
        one.parts = read_parts(what, one.request.params, sender)
    except alink.AlinkError as error:
        one.code, one.text = Alink.REQUEST_ERROR, f"request error: {error}"
    except Refused as refused:
        one.code, one.text = refused.code, refused.message
    return one


def _time_of(item: Item) -> int:
    return item.time_ms
