"""Values against a thing model. Each type becomes one function, once per published version; a post calls them.

Result codes are of the contract's family (device-mqtt §4). Which code stands for which mismatch is not published in
full; what is decided here:

    6300 no such event or service      6301 not an array, or too long        6302 a required member is missing
    6306 int    6307 float    6308 bool    6309 enum    6310 text    6311 date    6312 struct    6322 double
    6326 the time of a value is no epoch milliseconds    6327 an object {"time":..} without value
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from thinghub.device_protocol.tsl.model import DataType, Event, Kind, Member, Property, Service, ThingModel


class TslCode(IntEnum):
    NO_FUNCTION = 6300
    ARRAY = 6301
    MISSING = 6302
    INT = 6306
    FLOAT = 6307
    BOOL = 6308
    ENUM = 6309
    TEXT = 6310
    DATE = 6311
    STRUCT = 6312
    DOUBLE = 6322
    TIME = 6326
    VALUE = 6327


Check = Callable[[object], int]
"""0 when the value is good, else a TslCode."""

MAX_TIME_MS: Final = 1 << 53


@dataclass(frozen=True, slots=True)
class Bad:
    """Why a value was refused."""

    code: int
    message: str


class Validator:
    """A published thing model, compiled. `checks` has the check of each property, for who judges many at once."""

    def __init__(self, model: ThingModel) -> None:
        self.properties: Mapping[str, Property] = {one.identifier: one for one in model.properties}
        self.events: Mapping[str, Event] = {one.identifier: one for one in model.events}
        self.services: Mapping[str, Service] = {one.identifier: one for one in model.services}
        self.checks: Mapping[str, Check] = {one.identifier: compile_type(one.type) for one in model.properties}
        self._outputs = {one.identifier: compile_members(one.outputs) for one in model.events}
        self._inputs = {one.identifier: compile_members(one.inputs) for one in model.services}

    def value(self, identifier: str, value: object) -> int:
        """Of a property that the model has: 0 or a TslCode."""
        return self.checks[identifier](value)

    def output(self, identifier: str, value: object) -> int:
        """Of an event: 0 or a TslCode, NO_FUNCTION for one the model does not have."""
        check = self._outputs.get(identifier)
        return TslCode.NO_FUNCTION if check is None else check(value)

    def input(self, identifier: str, value: object) -> int:
        """Of a service call, as `output`."""
        check = self._inputs.get(identifier)
        return TslCode.NO_FUNCTION if check is None else check(value)


def compile_type(data_type: DataType) -> Check:
    return _COMPILERS[data_type.kind](data_type)


def compile_members(members: Sequence[Member], missing: int = TslCode.MISSING, mismatch: int = TslCode.STRUCT) -> Check:
    """Members the model does not have are let pass; absent ones must not be required."""
    checks = {one.identifier: compile_type(one.type) for one in members}
    required = tuple(one.identifier for one in members if one.required)

    def check(value: object) -> int:
        if not isinstance(value, dict):
            return mismatch
        for identifier in required:
            if identifier not in value:
                return missing
        for identifier, known in checks.items():
            if identifier in value and (code := known(value[identifier])):
                return code
        return 0

    return check


def _struct(data_type: DataType) -> Check:
    return compile_members(data_type.members, TslCode.STRUCT)


def _int(data_type: DataType) -> Check:
    least, most = data_type.minimum, data_type.maximum

    def check(value: object) -> int:
        if type(value) is not int and (type(value) is not float or not value.is_integer()):
            return TslCode.INT
        if (least is not None and value < least) or (most is not None and value > most):
            return TslCode.INT
        return 0

    return check


def _real(data_type: DataType) -> Check:
    least, most = data_type.minimum, data_type.maximum
    wrong = TslCode.FLOAT if data_type.kind is Kind.FLOAT else TslCode.DOUBLE

    def check(value: object) -> int:
        if type(value) is not float and type(value) is not int:
            return wrong
        if (least is not None and value < least) or (most is not None and value > most):
            return wrong
        return 0

    return check


def _choice(data_type: DataType) -> Check:
    options = data_type.options
    # Booleans are the integers 0 and 1 of the contract; JSON's own true and false are read as what they mean.
    kinds = (int, bool) if data_type.kind is Kind.BOOL else (int,)
    wrong = TslCode.BOOL if data_type.kind is Kind.BOOL else TslCode.ENUM

    def check(value: object) -> int:
        return 0 if type(value) in kinds and value in options else wrong

    return check


def _text(data_type: DataType) -> Check:
    longest = data_type.length

    def check(value: object) -> int:
        return 0 if type(value) is str and len(value) <= longest else TslCode.TEXT

    return check


def _date(data_type: DataType) -> Check:
    """Epoch milliseconds, as a text of digits (the contract's form) or as a number."""

    def check(value: object) -> int:
        if type(value) is int:
            return 0 if 0 <= value <= MAX_TIME_MS else TslCode.DATE
        if type(value) is str and value.isascii() and value.isdigit() and len(value) <= 16:
            return 0
        return TslCode.DATE

    return check


def _array(data_type: DataType) -> Check:
    longest = data_type.length
    item = compile_type(data_type.item) if data_type.item else None

    def check(value: object) -> int:
        if not isinstance(value, list) or len(value) > longest:
            return TslCode.ARRAY
        if item is not None:
            for element in value:
                if code := item(element):
                    return code
        return 0

    return check


_COMPILERS: Final[Mapping[Kind, Callable[[DataType], Check]]] = {
    Kind.INT: _int,
    Kind.FLOAT: _real,
    Kind.DOUBLE: _real,
    Kind.ENUM: _choice,
    Kind.BOOL: _choice,
    Kind.TEXT: _text,
    Kind.DATE: _date,
    Kind.STRUCT: _struct,
    Kind.ARRAY: _array,
}

WHY: Final[Mapping[int, str]] = {
    TslCode.NO_FUNCTION: "tsl parse: method not exist",
    TslCode.ARRAY: "tsl parse: array type or size error",
    TslCode.MISSING: "tsl parse: required parameter not exist",
    TslCode.INT: "tsl parse: int value or range error",
    TslCode.FLOAT: "tsl parse: float value or range error",
    TslCode.BOOL: "tsl parse: bool value error",
    TslCode.ENUM: "tsl parse: enum value error",
    TslCode.TEXT: "tsl parse: text value or length error",
    TslCode.DATE: "tsl parse: date value error",
    TslCode.STRUCT: "tsl parse: struct value error",
    TslCode.DOUBLE: "tsl parse: double value or range error",
    TslCode.TIME: "tsl parse: time of the value error",
    TslCode.VALUE: "tsl parse: value not exist",
}
