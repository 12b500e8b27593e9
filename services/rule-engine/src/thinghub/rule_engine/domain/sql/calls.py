"""What the functions of the SQL mean on JSON values; the generated code calls these.

An argument that is null, or of a kind the function does not take, gives null; a test gives false, as a comparison does.
Numbers serve as texts in the form JSON writes them.
"""

import math

from thinghub.rule_engine.domain.sql.semantics import MAX_TEXT, NUMBERS, bounded, to_text


def payload(raw: bytes, encoding: str) -> str:
    """Bytes that the encoding does not know become U+FFFD."""
    return raw.decode(encoding, "replace")


def absolute(value: object) -> object:
    return bounded(abs(value)) if type(value) in NUMBERS else None  # type: ignore[arg-type]


def floor(value: object) -> object:
    return bounded(math.floor(value)) if type(value) in NUMBERS else None  # type: ignore[call-overload]


def power(base: object, exponent: object) -> object:
    """Integers give an integer while it fits in 64 bits; what is no real number is null."""
    if type(base) not in NUMBERS or type(exponent) not in NUMBERS:
        return None
    try:
        found = math.pow(base, exponent)  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return None
    if type(base) is int and type(exponent) is int and exponent >= 0 and abs(found) <= 2.0**64:
        return bounded(base**exponent)
    return bounded(found)


def lower(value: object) -> str | None:
    text = _text(value)
    return None if text is None else text.lower()


def upper(value: object) -> str | None:
    text = _text(value)
    return None if text is None else text.upper()


def replace(value: object, sought: object, other: object) -> str | None:
    """Null when the text would grow beyond all use; nothing is sought when `sought` is empty."""
    text, old, new = _text(value), _text(sought), _text(other)
    if text is None or old is None or new is None:
        return None
    if not old:
        return text
    if len(new) > len(old) and len(text) + text.count(old) * (len(new) - len(old)) > MAX_TEXT:
        return None
    return text.replace(old, new)


def substring(value: object, start: object, *end: object) -> str | None:
    """From 0, the end not included; a start below 0 is 0, decimals are cut, an end before the start gives ''."""
    text = _text(value)
    if text is None or type(start) not in NUMBERS or (end and type(end[0]) not in NUMBERS):
        return None
    first = max(int(start), 0)  # type: ignore[call-overload]
    last = max(int(end[0]), 0) if end else len(text)  # type: ignore[call-overload]
    return text[first:last]


def endswith(value: object, suffix: object) -> bool:
    text, part = _text(value), _text(suffix)
    return text is not None and part is not None and text.endswith(part)


def startswith(value: object, prefix: object) -> bool:
    text, part = _text(value), _text(prefix)
    return text is not None and part is not None and text.startswith(part)


def _text(value: object) -> str | None:
    if type(value) is str:
        return value
    return to_text(value) if type(value) in NUMBERS else None
