"""One message of a device, judged: what it leaves behind, gathered for its batch."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from thinghub.device_protocol import alink
from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.message_ids import derive
from thinghub.device_protocol.records import Message
from thinghub.shadow.domain import thing_bodies as bodies
from thinghub.shadow.domain.thing_commands import answered_service, read_answer
from thinghub.shadow.domain.thing_models import ThingModel
from thinghub.shadow.domain.thing_posts import Item, Post, PostReader
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.relays import Relayed
from thinghub.shadow.ports.thing_calls import AnswerRow
from thinghub.shadow.ports.things import EventRow, Latest, PropertyRow, Sending
from thinghub.shadow.service.thing_observation import Tally
from thinghub.shadow.service.thing_relays import RelayedPost, Share
from thinghub.shadow.service.thing_rows import rows_of

_PREFIX_LEVELS = 4  # "", sys, product key, device name
_EVENT, _POST = "thing/event/", "/post"


def is_judged(topic: str) -> bool:
    """Whether a message of this topic leaves anything behind: a post, or the answer to a call."""
    below = _below(topic)
    if answered_service(below):
        return True
    return below.startswith(_EVENT) and below.endswith(_POST) and len(below) > len(_EVENT) + len(_POST)


@dataclass(slots=True)
class Effects:
    """What a batch leaves behind."""

    latest: dict[Device, Latest] = field(default_factory=dict)
    relayed: list[Relayed] = field(default_factory=list)
    posts: list[PropertyRow] = field(default_factory=list)
    events: list[EventRow] = field(default_factory=list)
    data: list[Message] = field(default_factory=list)
    replies: list[Sending] = field(default_factory=list)
    answers: list[AnswerRow] = field(default_factory=list)
    tally: Tally[str] = field(default_factory=Tally)

    def share(self, share: Share) -> None:
        self.relayed.append(share.latest())
        self.posts.extend(share.rows())
        self.events.extend(share.event_rows())
        self.data.extend(share.data())


@dataclass(slots=True)
class Judged:
    """One message on its way into the effects."""

    effects: Effects
    origin: str
    message: Message
    device: Device
    model: ThingModel
    iot_id: str
    relayed: RelayedPost | None = None

    def judge(self) -> None:
        if self.relayed is not None:
            return self._judge_relayed(self.relayed)
        below = _below(self.message.topic)
        if service := answered_service(below):
            return self._answer(service)
        method = below.replace("/", ".")
        try:
            request = alink.parse_request(self.message.payload)
        except alink.AlinkError as error:
            self.effects.tally["malformed"] += 1
            return self._send(alink.unreadable(Alink.REQUEST_ERROR, f"request error: {error}"))
        what = below[len(_EVENT) : -len(_POST)]
        post = PostReader(self.model, self.message.received_ms).read(what, request.params)
        if post is None:
            return None
        if post.code == Alink.SUCCESS:
            self._keep(post, request.id)
        self.effects.tally[_outcome(post.code, bool(post.failed))] += 1
        if request.ack:
            self._send(alink.reply(request, post.code, post.message, method=method))
        return None

    def _judge_relayed(self, relayed: RelayedPost) -> None:
        if relayed.own is not None:
            self._keep(relayed.own, relayed.request.id)
        for share in relayed.shares:
            self.effects.share(share)
        partly = (relayed.own and relayed.own.failed) or any(share.post.failed for share in relayed.shares)
        self.effects.tally[_outcome(relayed.code, bool(partly))] += 1
        if relayed.request.ack:
            method = _below(self.message.topic).replace("/", ".")
            self._send(alink.reply(relayed.request, relayed.code, relayed.text, method=method))

    def _keep(self, post: Post, request_id: str) -> None:
        message = self.message
        if post.plain or post.timed:
            self._keep_latest(post)
            if self.model.stored:
                self.effects.posts.extend(rows_of(self.device, message.received_ms, message.id, post))
        self.effects.data.extend(self._data(post, request_id))
        if self.model.stored and post.events:
            self.effects.events.extend(self._event_rows(post))

    def _keep_latest(self, post: Post) -> None:
        message = self.message
        place = (message.epoch, message.sequence)
        earlier = self.effects.latest.get(self.device)
        # In one partition a device's messages are in order; one that comes a second time is not newer.
        if earlier is not None and place <= earlier.place and place != (0, 0):
            return
        if post.plain and earlier is None:
            times = [message.received_ms] * len(post.plain)
            self.effects.latest[self.device] = Latest(
                self.device, place, list(post.plain), [*post.plain.values()], times
            )
            return
        newest = {
            one: values[0] if len(values) == 1 else max(values, key=lambda item: item.time_ms)
            for one, values in post.items.items()
        }
        if earlier is not None:
            newest = {**_items(earlier), **newest}
        # What a product without validation takes may have any name; what is kept for ever is bounded by the model.
        known = self.model.validator.properties
        kept = {identifier: item for identifier, item in newest.items() if identifier in known}
        values, times = [item.value for item in kept.values()], [item.time_ms for item in kept.values()]
        self.effects.latest[self.device] = Latest(self.device, place, list(kept), values, times)

    def _event_rows(self, post: Post) -> Iterator[EventRow]:
        for number, one in enumerate(post.events):
            yield EventRow(
                self.device,
                self.message.received_ms,
                derive(self.message.id, f"event/{number}"),
                one.time_ms,
                one.event.identifier,
                one.event.name,
                one.event.type,
                bodies.text_of(one.value),
            )

    def _data(self, post: Post, request_id: str) -> Iterator[Message]:
        identity = self._identity()
        received_ms = self.message.received_ms
        if post.plain:
            body = bodies.plain_body(identity, received_ms, request_id, post.plain, self.model.device_type)
            yield self._derived("property/0", bodies.property_topic(*self.device), body)
            return
        moments = bodies.moments(post) or ([{}] if post.failed else [])
        for number, items in enumerate(moments):
            failed = {} if number else post.failed
            body = bodies.property_body(identity, received_ms, request_id, items, failed, self.model.device_type)
            yield self._derived(f"property/{number}", bodies.property_topic(*self.device), body)
        for number, occurred in enumerate(post.events):
            topic = bodies.event_topic(*self.device, occurred.event.identifier)
            yield self._derived(f"event/{number}", topic, bodies.event_body(identity, received_ms, occurred))

    def _answer(self, service: str) -> None:
        """The device's answer to a call: into the call's record, where there is one, and to whoever listens."""
        try:
            answer = read_answer(self.message.payload)
        except alink.AlinkError:
            self.effects.tally["malformed"] += 1
            return
        asked = self.message.topic.removesuffix(alink.REPLY)
        received_ms = self.message.received_ms
        if self.model.stored and answer.number:
            row = AnswerRow(self.device, answer.number, service, received_ms, answer.code, answer.output())
            self.effects.answers.append(row)
        body = bodies.reply_body(
            self._identity(), received_ms, answer.id, answer.code, answer.message, asked, answer.data
        )
        self.effects.data.append(self._derived("downlink reply", bodies.reply_topic(*self.device), body))
        self.effects.tally["downlink_reply"] += 1

    def _identity(self) -> dict[str, str]:
        return {"iotId": self.iot_id, "productKey": self.device.product_key, "deviceName": self.device.device_name}

    def _derived(self, stage: str, topic: str, body: bytes) -> Message:
        message = self.message
        return Message(
            id=derive(message.id, f"thing.data/{stage}"),
            product_key=message.product_key,
            device_name=message.device_name,
            topic=topic,
            payload=body,
            received_ms=message.received_ms,
            hops=message.hops,
            qos=message.qos,
            traceparent=message.traceparent,
        )

    def _send(self, payload: bytes) -> None:
        message = self.message
        reply_id = derive(message.id, "thing reply")
        topic = message.topic + alink.REPLY
        sending = Sending(self.device, topic, payload, reply_id, min(message.qos, 1), self.origin, message.handle)
        self.effects.replies.append(sending)


def _below(topic: str) -> str:
    """The topic below `/sys/{pk}/{dn}/`."""
    levels = topic.split("/", _PREFIX_LEVELS)
    return levels[-1] if len(levels) > _PREFIX_LEVELS and levels[1] == "sys" else ""


def _items(latest: Latest) -> dict[str, Item]:
    return dict(zip(latest.identifiers, map(Item, latest.values, latest.times), strict=True))


def _outcome(code: int, partly: bool) -> str:
    if code != Alink.SUCCESS:
        return f"refused_{code}"
    return "partly" if partly else "stored"
