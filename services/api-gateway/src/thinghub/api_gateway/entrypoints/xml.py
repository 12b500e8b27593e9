"""Answers as XML: the RPC style's default form when a request names none.

A JSON object becomes elements of its member names; a list becomes one element an item, all of the list's name.
Characters that XML 1.0 cannot hold are replaced by U+FFFD.
"""

import re
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(root: str, members: Mapping[str, object]) -> bytes:
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + "".join(_element(root, members))).encode()


def _element(name: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield f"<{name}>"
        for member, inner in value.items():
            yield from _element(member, inner)
        yield f"</{name}>"
    elif isinstance(value, list):
        for item in value:
            yield from _element(name, item)
    else:
        yield f"<{name}>{_text(value)}</{name}>"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(_ILLEGAL.sub("\ufffd", str(value)))
