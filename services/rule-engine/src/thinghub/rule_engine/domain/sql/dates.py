"""Date patterns of `timestamp('...')`: the letters of Java's SimpleDateFormat that a time stamp needs.

Text is in the contract's local time, UTC+8 (reference, rule engine §1). Letters outside the table are refused, so that
a pattern never renders something other than it says; text stands between single quotes, two of them are one.
"""

import re
import time

from thinghub.rule_engine.errors import SqlError

LOCAL_S = 8 * 3600

# Letters to fields of a format string: 0 to 5 are year to second, 6 the year of the century, 7 milliseconds.
_FIELDS = {
    "yyyy": "{0:04}",
    "yy": "{6:02}",
    "MM": "{1:02}",
    "M": "{1}",
    "dd": "{2:02}",
    "d": "{2}",
    "HH": "{3:02}",
    "H": "{3}",
    "mm": "{4:02}",
    "m": "{4}",
    "ss": "{5:02}",
    "s": "{5}",
    "SSS": "{7:03}",
    "S": "{7}",
    "Z": "+0800",
}
_TOKEN = re.compile(r"([A-Za-z])\1*|'((?:[^']|'')*)'|[^A-Za-z']+")


def compile_pattern(pattern: str, at: int) -> str:
    """The pattern as a format string for `render`. Raises SqlError at `at` for a letter that is not available."""
    pieces: list[str] = []
    position = 0
    while position < len(pattern):
        match = _TOKEN.match(pattern, position)
        if match is None:
            raise SqlError("a date pattern has a quote that does not close", at)
        pieces.append(_piece(match, at))
        position = match.end()
    return "".join(pieces)


def _piece(match: re.Match[str], at: int) -> str:
    if match.group(1) is None:
        text = match.group() if match.group(2) is None else match.group(2).replace("''", "'") or "'"
        return text.replace("{", "{{").replace("}", "}}")
    if field := _FIELDS.get(match.group()):
        return field
    raise SqlError(f"{match.group()!r} is not available in a date pattern; there are {', '.join(_FIELDS)}", at)


def render(template: str, epoch_ms: int) -> str:
    seconds, milliseconds = divmod(epoch_ms, 1000)
    moment = time.gmtime(seconds + LOCAL_S)
    return template.format(*moment[:6], moment[0] % 100, milliseconds)
