"""Values to protobuf messages and back, by field name.

The dataclasses of `domain.values` have the names and enum numbers of the protos they stand for, so one rule does for
all: a field is copied, an enum by number, a nested value by the same rule. What differs is written out in the adapters.
"""

import dataclasses
import typing
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Any, TypeVar

from google.protobuf.message import Message

ValueT = TypeVar("ValueT")
MessageT = TypeVar("MessageT", bound=Message)
Fields = tuple[tuple[str, Any], ...]
"""Names and types of a dataclass's fields. Any: what annotations are."""


def _read_fields(cls: Any) -> Fields:
    hints = typing.get_type_hints(cls)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(cls))


_fields: Callable[[Any], Fields] = cache(_read_fields)


def value(cls: type[ValueT], message: Message, **given: object) -> ValueT:
    """The dataclass `cls` from a message of the same field names; `given` fields win."""
    members = dict(given)
    for name, kind in _fields(cls):
        if name not in members:
            members[name] = _from(kind, getattr(message, name))
    return cls(**members)


def message(cls: type[MessageT], from_value: object, **given: object) -> MessageT:
    """The message `cls` from a dataclass whose fields all exist there; `given` fields win."""
    members: dict[str, Any] = {name: _to(getattr(from_value, name)) for name, _ in _fields(type(from_value))}
    return cls(**(members | given))


def _from(kind: Any, raw: Any) -> object:
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return kind(raw)
    return value(kind, raw) if isinstance(raw, Message) else raw


def _to(raw: object) -> object:
    if dataclasses.is_dataclass(raw) and not isinstance(raw, type):
        return {name: _to(getattr(raw, name)) for name, _ in _fields(type(raw))}
    return int(raw) if isinstance(raw, IntEnum) else raw
