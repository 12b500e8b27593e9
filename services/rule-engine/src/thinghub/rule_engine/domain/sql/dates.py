"""Date patterns of `timestamp('...')`: the letters of Java's SimpleDateFormat that a time stamp needs.

Text is in the contract's local time, UTC+8 (reference, rule engine §1). Letters outside the table are refused, so that
a pattern never renders something other than it says; text stands between single quotes, two of them are one.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

from thinghub.rule_engine.errors import SqlError

LOCAL = timezone(timedelta(hours=8))

Piece = Callable[[datetime], str]

_PIECES: dict[str, Piece] = {
    "yyyy": lambda t: f"{t.year:04}",
    "yy": lambda t: f"{t.year % 100:02}",
    "MM": lambda t: f"{t.month:02}",
    "M": lambda t: str(t.month),
    "dd": lambda t: f"{t.day:02}",
    "d": lambda t: str(t.day),
    "HH": lambda t: f"{t.hour:02}",
    "H": lambda t: str(t.hour),
    "mm": lambda t: f"{t.minute:02}",
    "m": lambda t: str(t.minute),
    "ss": lambda t: f"{t.second:02}",
    "s": lambda t: str(t.second),
    "SSS": lambda t: f"{t.microsecond // 1000:03}",
    "S": lambda t: str(t.microsecond // 1000),
    "Z": lambda t: t.strftime("%z"),
}
_TOKEN = re.compile(r"([A-Za-z])\1*|'((?:[^']|'')*)'|[^A-Za-z']+")


def compile_pattern(pattern: str, at: int) -> tuple[str | Piece, ...]:
    """Raises SqlError at `at` when the pattern has a letter that is not available."""
    pieces: list[str | Piece] = []
    position = 0
    while position < len(pattern):
        match = _TOKEN.match(pattern, position)
        if match is None:
            raise SqlError("a date pattern has a quote that does not close", at)
        pieces.append(_piece(match, at))
        position = match.end()
    return tuple(pieces)


def _piece(match: re.Match[str], at: int) -> str | Piece:
    if match.group(1) is None:
        return match.group() if match.group(2) is None else match.group(2).replace("''", "'") or "'"
    if piece := _PIECES.get(match.group()):
        return piece
    raise SqlError(f"{match.group()!r} is not available in a date pattern; there are {', '.join(_PIECES)}", at)


def render(pieces: tuple[str | Piece, ...], epoch_ms: int) -> str:
    moment = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=epoch_ms)).astimezone(LOCAL)
    return "".join(piece if isinstance(piece, str) else piece(moment) for piece in pieces)
