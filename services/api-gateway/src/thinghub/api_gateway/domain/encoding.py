"""Form decoding and RFC 3986 encoding, strict where the standard library forgives.

A signature covers decoded parameters, so two texts must never decode to the same parameters by way of a repair:
a malformed escape, bytes that are not UTF-8, a NUL or a name given twice is refused.
"""

import re
from urllib.parse import quote, unquote_to_bytes

from thinghub.api_gateway.errors import Refused, invalid

MAX_PARAMETERS = 2000
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def encode(text: str) -> str:
    """RFC 3986: letters, digits and `-_.~` stay, all else becomes %XX of its UTF-8 bytes."""
    return quote(text, safe="-_.~")


def decode_form(raw: bytes, where: str) -> dict[str, str]:
    """Parameters of a query string or a form body, in order. `where` names it in the error.

    `+` is a space. Raises Refused (InvalidParameter) for what is malformed or given twice.
    """
    parts = [part for part in raw.split(b"&") if part]
    if len(parts) > MAX_PARAMETERS:
        raise Refused("InvalidParameter", f"The {where} has more than {MAX_PARAMETERS} parameters.")
    parameters: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition(b"=")
        key = _decode(name, where)
        if not key:
            raise Refused("InvalidParameter", f"The {where} has a parameter without a name.")
        if key in parameters:
            raise invalid(key, "it is given more than once")
        parameters[key] = _decode(value, where)
    return parameters


def merge(query: dict[str, str], form: dict[str, str]) -> dict[str, str]:
    """Query and form body as one; a name in both is refused, since nobody could say which was meant."""
    for name in query.keys() & form.keys():
        raise invalid(name, "it is given in the query and in the body")
    return query | form


def _decode(raw: bytes, where: str) -> str:
    if _BAD_ESCAPE.search(raw):
        raise Refused("InvalidParameter", f"The {where} has a malformed percent-encoding.")
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as error:
        raise Refused("InvalidParameter", f"The {where} is not UTF-8.") from error
    if "\0" in text:
        raise Refused("InvalidParameter", f"The {where} has a NUL character.")
    return text
