"""Posts of devices against the thing model: what is stored, what is refused, and the reply's code (device-mqtt §4).

    thing/event/property/post          {"Temp": 23.5} or {"Temp": {"value": 23.5, "time": 1524448722000}}
    thing/event/{event}/post           {"value": {...}, "time": ...}, or flat: {...}
    thing/event/property/batch/post    {"properties": {"Temp": [{"value", "time"}]}, "events": {"alarm": [{...}]}}
    a part of a pack                   {"properties": {...}, "events": {"alarm": {"value", "time"}}}
    a part of a history                {"properties": [{"Temp": {"value", "time"}}], "events": [{"alarm": {...}}]}

Parts are told apart by device in `thing_parts`. What is history has its time, and that is past.

Properties that the model does not have are ignored. An event it does not have is refused whatever the product's
strictness: nobody could say what it is. A value nested deeper than can be written again is bad in every mode.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.tsl.model import Event
from thinghub.device_protocol.tsl.validator import MAX_TIME_MS, WHY, TslCode
from thinghub.shadow.domain.thing_models import Strictness, ThingModel

MAX_PROPERTIES: Final = 200
MAX_EVENTS: Final = 200
TOO_MANY_PROPERTIES: Final = 6106
TOO_MANY_EVENTS: Final = 6356
NO_TOPOLOGY: Final = 6401
SUCCESS: Final = "success"
# A device's clock may be so far ahead before what it calls past is not.
CLOCK_SKEW_MS: Final = 60_000

_IDENTIFIER = re.compile(r"[A-Za-z0-9_]{1,50}(:[A-Za-z0-9_]{1,50})?")
_PLAIN: Final = frozenset({int, float, str, bool})
_WRAPPED: Final = ({"value"}, {"value", "time"})


class Item(NamedTuple):
    value: object
    time_ms: int


class Failed(NamedTuple):
    """A value that was not stored. `value` is None when it cannot even be written."""

    value: object
    code: int
    message: str


class Occurred(NamedTuple):
    event: Event
    value: object
    time_ms: int


@dataclass(slots=True)
class Post:
    """Nothing is stored when `code` is not 200. Most posts are `plain`, which costs a third: bare good values, one a
    property, all of the time they were received; then `timed` is empty. Else `timed` has the values of each property in
    the order posted."""

    code: int = Alink.SUCCESS
    message: str = SUCCESS
    plain: dict[str, object] = field(default_factory=dict)
    received_ms: int = 0
    timed: dict[str, list[Item]] = field(default_factory=dict)
    failed: dict[str, Failed] = field(default_factory=dict)
    events: list[Occurred] = field(default_factory=list)

    @property
    def items(self) -> Mapping[str, Sequence[Item]]:
        """The values of each property, plain or not."""
        return {one: [Item(value, self.received_ms)] for one, value in self.plain.items()} or self.timed


class Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class PostReader:
    """Judges one post. `received_ms` fills in times that the device left out; with `past` none may be."""

    def __init__(self, model: ThingModel, received_ms: int, past: bool = False) -> None:
        self._model = model
        self._validator = model.validator
        self._received_ms = received_ms
        self._past = past
        self._latest_ms = received_ms + CLOCK_SKEW_MS if past else MAX_TIME_MS

    def read(self, what: str, params: object) -> Post | None:
        """`what` is the topic between `thing/event/` and `/post`. None: nothing that is read here."""
        if what.startswith("property/") and what != "property/batch":
            return None
        try:
            if what == "property":
                given = _object(params)
                return self._plain(given) or self._properties(Post(), given, single=True)
            if what == "property/batch":
                return self._batch(_object(params))
            return self._event(Post(), what, params)
        except Refused as refused:
            return Post(refused.code, refused.message)

    def pack(self, properties: object, events: object) -> Post:
        """One device's part of a pack."""
        try:
            post = self._properties(Post(), _members(properties), single=True)
            return self._events(post, _members(events).items())
        except Refused as refused:
            return Post(refused.code, refused.message)

    def history(self, properties: object, events: object) -> Post:
        """One device's part of a history."""
        try:
            post, count = Post(), 0
            for one in _entries(properties, MAX_PROPERTIES, TOO_MANY_PROPERTIES):
                count += len(one)
                if count > MAX_PROPERTIES:
                    raise Refused(TOO_MANY_PROPERTIES, f"more than {MAX_PROPERTIES} properties")
                self._properties(post, one, single=True)
            occurred = _entries(events, MAX_EVENTS, TOO_MANY_EVENTS)
            return self._events(post, (pair for one in occurred for pair in one.items()))
        except Refused as refused:
            return Post(refused.code, refused.message)

    def _plain(self, given: dict[str, object]) -> Post | None:
        """What most posts are: bare values that are good. None: it has to be looked at more closely."""
        if not given or len(given) > MAX_PROPERTIES:
            return None
        checks = self._validator.checks
        for identifier, member in given.items():
            check = checks.get(identifier)
            if check is None or type(member) not in _PLAIN or check(member):
                return None
        return Post(plain=given, received_ms=self._received_ms)

    def _properties(self, post: Post, given: dict[str, object], single: bool) -> Post:
        """`single`: a member is a value or {"value","time"}; else it is an array of {"value","time"}."""
        if len(given) > MAX_PROPERTIES:
            raise Refused(TOO_MANY_PROPERTIES, f"more than {MAX_PROPERTIES} properties")
        known = self._validator.properties
        everything = self._model.strictness is Strictness.NONE
        count = 0
        for identifier, member in given.items():
            if identifier not in known and not (everything and _IDENTIFIER.fullmatch(identifier)):
                continue
            members = (member,) if single else _array(member)
            count += len(members)
            if count > MAX_PROPERTIES:
                raise Refused(TOO_MANY_PROPERTIES, f"more than {MAX_PROPERTIES} values")
            for one in members:
                self._value(post, identifier, one)
        return post

    def _value(self, post: Post, identifier: str, member: object) -> None:
        value, time_ms, code = self._unwrap(member)
        if not code and self._model.strictness is not Strictness.NONE:
            code = self._validator.value(identifier, value)
        can_be_written = writable(value)
        if not code and not can_be_written:
            code = TslCode.STRUCT
        if not code:
            post.timed.setdefault(identifier, []).append(Item(value, time_ms))
        elif self._model.strictness is Strictness.FULL:
            raise Refused(code, f"{WHY[code]}: {identifier}")
        else:
            post.failed[identifier] = Failed(value if can_be_written else None, code, WHY[code])

    def _unwrap(self, member: object) -> tuple[object, int, int]:
        """Value, time and a code."""
        bare = TslCode.TIME if self._past else 0
        if type(member) is not dict or not member:
            return member, self._received_ms, bare
        names = member.keys()
        if names == {"time"}:
            return None, self._received_ms, TslCode.VALUE
        if names not in _WRAPPED:
            return member, self._received_ms, bare
        time_ms = self._time(member)
        return member["value"], time_ms or self._received_ms, 0 if time_ms else TslCode.TIME

    def _time(self, member: dict[str, object]) -> int:
        """Epoch milliseconds; 0 when it is none."""
        time_ms = member.get("time")
        if time_ms is None:
            return 0 if self._past else self._received_ms
        if isinstance(time_ms, str) and time_ms.isascii() and time_ms.isdigit() and len(time_ms) < 17:
            time_ms = int(time_ms)
        return time_ms if type(time_ms) is int and 0 < time_ms <= self._latest_ms else 0

    def _event(self, post: Post, identifier: str, params: object) -> Post:
        event = self._validator.events.get(identifier)
        if event is None:
            raise Refused(TslCode.NO_FUNCTION, f"{WHY[TslCode.NO_FUNCTION]}: {identifier[:101]}")
        given = {} if params is None else _object(params)
        value: object = given
        time_ms = 0 if self._past else self._received_ms
        if isinstance(given.get("value"), dict) and given.keys() <= {"value", "time"}:
            value, time_ms = given["value"], self._time(given)
        code = 0 if time_ms else TslCode.TIME
        if not code and self._model.strictness is not Strictness.NONE:
            code = self._validator.output(identifier, value)
        if not code and not writable(value):
            code = TslCode.STRUCT
        if code:
            raise Refused(code, f"{WHY[code]}: {identifier}")
        post.events.append(Occurred(event, value, time_ms))
        return post

    def _batch(self, given: dict[str, object]) -> Post:
        post = self._properties(Post(), _members(given.get("properties")), single=False)
        events = _members(given.get("events"))
        return self._events(post, ((name, one) for name, several in events.items() for one in _array(several)))

    def _events(self, post: Post, events: Iterable[tuple[str, object]]) -> Post:
        for count, (identifier, one) in enumerate(events):
            if count == MAX_EVENTS:
                raise Refused(TOO_MANY_EVENTS, f"more than {MAX_EVENTS} events")
            try:
                self._event(post, identifier, one)
            except Refused as refused:
                if self._model.strictness is Strictness.FULL:
                    raise
                post.failed[identifier] = Failed(None, refused.code, refused.message)
        return post


def writable(value: object) -> bool:
    """JSON is read to a depth of 1,024 and written to 254: a value must leave room for what is put around it."""
    if type(value) is not dict and type(value) is not list:
        return True
    try:
        orjson.dumps([[[[[[[[value]]]]]]]])
    except TypeError:
        return False
    return True


def _object(params: object) -> dict[str, object]:
    if isinstance(params, dict):
        return params
    raise Refused(Alink.PARAMETER_ERROR, "request parameter error: params is not an object")


def _members(value: object) -> dict[str, object]:
    return {} if value is None else _object(value)


def _entries(value: object, most: int, code: int) -> list[dict[str, object]]:
    """The entries of a history; a single one may come without its array."""
    if value is None:
        return []
    entries = value if isinstance(value, list) else [value]
    if len(entries) > most:
        raise Refused(code, f"more than {most} entries")
    return [_object(one) for one in entries]


def _array(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    raise Refused(Alink.PARAMETER_ERROR, "request parameter error: a batch has arrays")
