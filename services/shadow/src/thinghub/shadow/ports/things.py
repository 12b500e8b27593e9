"""What thing data needs: models, identities, a store of latest values, a history, the bus, a way to devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from thinghub.device_protocol.records import Message
from thinghub.shadow.domain.thing_models import ThingModel
from thinghub.shadow.domain.thing_posts import Item
from thinghub.shadow.ports.documents import Device


class ThingModelSource(Protocol):
    async def models(self, product_keys: Sequence[str]) -> Mapping[str, ThingModel]:
        """Of those products that exist. Raises Unavailable."""


class Identities(Protocol):
    async def iot_ids(self, devices: Sequence[Device]) -> Mapping[Device, str]:
        """Of those devices that exist. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Latest:
    """Newest values of a device, and the place (epoch, sequence) of the message they came with; (0, 0) is the
    platform's own and is not fenced. `values` and `times` run along `identifiers`."""

    device: Device
    place: tuple[int, int]
    identifiers: Sequence[str]
    values: Sequence[object]
    times: Sequence[int]


class Properties(Protocol):
    """Latest values. Raises StoreUnavailable."""

    async def put(self, latest: Sequence[Latest]) -> None:
        """Each only if its place is greater than what is there; every entry of a device of its own."""

    async def get(self, device: Device, identifiers: Sequence[str]) -> Sequence[Item | None]:
        """One an identifier, in order."""

    async def next_ids(self, devices: Sequence[Device]) -> Sequence[int]:
        """One a device, in order: an id for a command to it, never given before, from 1 (firmware keeps ids in 32
        bits)."""


@dataclass(frozen=True, slots=True)
class PropertyRow:
    """One post: `plain` values are of the time it was received, `timed` ones of their own."""

    device: Device
    received_ms: int
    message_id: int
    plain: Mapping[str, object]
    timed: Mapping[str, Sequence[Item]]


@dataclass(frozen=True, slots=True)
class EventRow:
    device: Device
    received_ms: int
    message_id: int
    time_ms: int
    identifier: str
    name: str
    type: str
    value: str


class Span(NamedTuple):
    """Epoch milliseconds, both included."""

    start_ms: int
    end_ms: int
    limit: int
    ascending: bool


class History(Protocol):
    """Raises StoreUnavailable. A repeated write changes nothing."""

    async def add(self, posts: Sequence[PropertyRow], events: Sequence[EventRow]) -> None: ...

    async def values(self, device: Device, identifier: str, span: Span) -> Sequence[Item]:
        """At most one more than the limit, in the order asked."""

    async def events(self, device: Device, identifier: str, kind: str, span: Span) -> Sequence[EventRow]:
        """The same; an empty identifier or kind is any."""


class ThingData(Protocol):
    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns when they are durable. Raises Fault."""


class Sending(NamedTuple):
    """A message to a device; `origin` and `handle` name the connection to prefer."""

    device: Device
    topic: str
    payload: bytes
    message_id: int
    qos: int
    origin: str = ""
    handle: int = 0


class Senders(Protocol):
    async def send(self, messages: Sequence[Sending]) -> Mapping[str, int]:
        """How many had which outcome. Raises Fault when no gateway took it."""
