"""A thing model as values."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    INT = "int"
    FLOAT = "float"
    DOUBLE = "double"
    ENUM = "enum"
    BOOL = "bool"
    TEXT = "text"
    DATE = "date"
    STRUCT = "struct"
    ARRAY = "array"


@dataclass(frozen=True, slots=True)
class DataType:
    """`length` is the most characters of a text or elements of an array; `options` an enum's or bool's values."""

    kind: Kind
    minimum: float | None = None
    maximum: float | None = None
    length: int = 0
    options: frozenset[int] = frozenset()
    item: "DataType | None" = None
    members: "tuple[Member, ...]" = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a struct, of an event's output, of a service's input or output."""

    identifier: str
    name: str
    type: DataType
    required: bool = False


@dataclass(frozen=True, slots=True)
class Property:
    """`identifier` of a module's property is `block:identifier`."""

    identifier: str
    name: str
    type: DataType
    writable: bool
    required: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """`type` is info, alert or error."""

    identifier: str
    name: str
    type: str
    outputs: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    identifier: str
    name: str
    sync: bool
    inputs: tuple[Member, ...] = ()
    outputs: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class ThingModel:
    """All of a product's functions, the default module's and the others' (as `block:identifier`), in their order."""

    properties: tuple[Property, ...] = ()
    events: tuple[Event, ...] = ()
    services: tuple[Service, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """`path` is a JSON path into the TSL: `$.properties[3].dataType.specs.min`."""

    path: str
    why: str


class TslInvalid(ValueError):
    """Everything that is wrong with a TSL, the first hundred faults at most."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        first = faults[0]
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{first.path}: {first.why}{more}")
        self.faults = faults
