"""What the operators mean on JSON values; the generated code calls these.

A missing member is null. A comparison with null is false, arithmetic with null or with anything but numbers is null,
division by zero is null. Values of different kinds are unequal and have no order; true is not 1. An integer beyond 64
bits becomes a floating number, one beyond that is null: a result is always something JSON can say.
"""

import math

import orjson

NUMBERS = frozenset((int, float))
_LEAST, _MOST = -(2**63), 2**64 - 1
MAX_TEXT = 1 << 20


def bounded(value: int | float) -> int | float | None:
    if type(value) is int:
        return value if _LEAST <= value <= _MOST else float(value)
    return value if math.isfinite(value) else None


def add(left: object, right: object) -> object:
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return bounded(left + right)  # type: ignore[operator]
    return None


def subtract(left: object, right: object) -> object:
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return bounded(left - right)  # type: ignore[operator]
    return None


def multiply(left: object, right: object) -> object:
    if type(left) in NUMBERS and type(right) in NUMBERS:
        return bounded(left * right)  # type: ignore[operator]
    return None


def divide(left: object, right: object) -> object:
    """Two integers that divide without rest give an integer."""
    if type(left) not in NUMBERS or type(right) not in NUMBERS or right == 0:
        return None
    if type(left) is int and type(right) is int and left % right == 0:
        return bounded(left // right)
    return bounded(left / right)  # type: ignore[operator]


def modulo(left: object, right: object) -> object:
    """The sign is the dividend's, as in the vendor's Java."""
    if type(left) not in NUMBERS or type(right) not in NUMBERS or right == 0:
        return None
    if type(left) is int and type(right) is int:
        rest = abs(left) % abs(right)
        return -rest if left < 0 else rest
    return bounded(math.fmod(left, right))  # type: ignore[arg-type]


def negate(value: object) -> object:
    return bounded(-value) if type(value) in NUMBERS else None  # type: ignore[operator]


def same(left: object, right: object) -> bool:
    if left is None or right is None:
        return False
    if type(left) is not type(right) and not (type(left) in NUMBERS and type(right) in NUMBERS):
        return False
    return left == right


def different(left: object, right: object) -> bool:
    return left is not None and right is not None and not same(left, right)


def less(left: object, right: object) -> bool:
    return _comparable(left, right) and left < right  # type: ignore[operator]


def less_or_same(left: object, right: object) -> bool:
    return _comparable(left, right) and left <= right  # type: ignore[operator]


def _comparable(left: object, right: object) -> bool:
    return (type(left) in NUMBERS and type(right) in NUMBERS) or (type(left) is str and type(right) is str)


def to_text(value: object) -> str:
    """As JSON writes it, but text without its quotes."""
    if type(value) is str:
        return value
    return orjson.dumps(value).decode()


def concat(*parts: object) -> str | None:
    """Null when a part is null, or when the text grows beyond all use."""
    for part in parts:
        if part is None:
            return None
    text = "".join([part if type(part) is str else to_text(part) for part in parts])
    return text if len(text) <= MAX_TEXT else None


def one_of(value: object, choices: frozenset[object], booleans: tuple[bool, ...]) -> bool:
    """Whether it is the same as one of the constants; `choices` are numbers and texts."""
    kind = type(value)
    if kind is bool:
        return value in booleans
    return (kind is str or kind in NUMBERS) and value in choices


def none_of(value: object, choices: frozenset[object], booleans: tuple[bool, ...]) -> bool:
    return value is not None and not one_of(value, choices, booleans)


def like(value: object, pieces: tuple[str, ...]) -> bool:
    """The text between the `%` of a pattern, found in order: the first at the beginning, the last at the end."""
    if type(value) is not str:
        return False
    if len(pieces) == 1:
        return value == pieces[0]
    first, *middle, last = pieces
    at, end = len(first), len(value) - len(last)
    if at > end or not value.startswith(first) or not value.endswith(last):
        return False
    for piece in middle:
        at = value.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def unlike(value: object, pieces: tuple[str, ...]) -> bool:
    return value is not None and not like(value, pieces)


def topic_level(topic: str, number: int) -> str | None:
    """Levels count from 1; the leading slash opens the first."""
    levels = topic.split("/")
    if topic.startswith("/"):
        return levels[number] if number < len(levels) else None
    return levels[number - 1] if number <= len(levels) else None
