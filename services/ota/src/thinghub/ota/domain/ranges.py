"""Which bytes a request wants of a file (RFC 9110 §14): one range; of several, or of what is none, the whole file."""

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Span:
    """From `first` up to and without `end`; `part` when less than everything was asked for in so many words."""

    first: int
    end: int
    part: bool


def wanted(header: str, size: int) -> Span | None:
    """None when nothing of the range is in the file."""
    found = _RANGE.fullmatch(header.replace(" ", ""))
    if found is None or not (found[1] or found[2]):
        return Span(0, size, part=False)
    if not found[1]:
        last = int(found[2])
        return Span(max(size - last, 0), size, part=True) if last and size else None
    first, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
    if found[2] and int(found[2]) < first:
        return Span(0, size, part=False)
    return Span(first, end, part=True) if first < size else None
