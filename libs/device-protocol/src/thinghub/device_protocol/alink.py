"""The Alink envelope (device-mqtt §2): requests of devices, answers of devices, replies and requests of the platform.

    request  {"id":"123","version":"1.0","sys":{"ack":1},"params":{...},"method":"thing..."}
    reply    {"id":"123","code":200,"message":"success","data":{},"method":"thing...","version":"1.0"}

The id of a request is echoed as a string with the very characters that came: SDKs put topics into it, or integers. A
reply always has `message` and `data`, because SDKs index both. What is longer than a device may send never gets here;
nesting is bounded by the parser (1,024 levels), so hostile JSON costs time in proportion to its length and no more.
"""

import json
from dataclasses import dataclass
from typing import Final

import orjson

VERSION: Final = "1.0"
SUCCESS: Final = "success"
REPLY: Final = "_reply"


class AlinkError(ValueError):
    """The bytes are no Alink envelope: no JSON, or no object."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a device asks. `ack` False: it wants no reply. `params` is None when the member is absent."""

    id: str
    method: str = ""
    params: object = None
    ack: bool = True
    version: str = VERSION


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device says to a request of the platform."""

    id: str
    code: int
    message: str = ""
    data: object = None


def parse_request(payload: bytes) -> Request:
    """Raises AlinkError. A member of the wrong type counts as absent, except `params`, which its reader judges."""
    members = _members(payload)
    return Request(
        _id(members.get("id"), payload),
        _text(members.get("method")),
        members.get("params"),
        _wants_reply(members.get("sys")),
        _text(members.get("version")) or VERSION,
    )


def parse_answer(payload: bytes) -> Answer:
    """Raises AlinkError, also when there is no code."""
    members = _members(payload)
    code = members.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        code = int(code)
    if not isinstance(code, int) or isinstance(code, bool):
        raise AlinkError("an answer has a code")
    return Answer(_id(members.get("id"), payload), code, _text(members.get("message")), members.get("data"))


def reply(request: Request, code: int, message: str = SUCCESS, data: object = None, method: str = "") -> bytes:
    """`method` names the topic's own method where the device left it out."""
    return orjson.dumps(
        {
            "id": request.id,
            "code": code,
            "message": message,
            "data": {} if data is None else data,
            "method": request.method or method,
            "version": request.version,
        }
    )


def unreadable(code: int, message: str) -> bytes:
    """Reply to bytes whose id nobody can tell."""
    return reply(Request(""), code, message)


def command(message_id: str, method: str, params: object) -> bytes:
    """A request of the platform; its id is an unsigned decimal, unique to the device."""
    return orjson.dumps({"id": message_id, "version": VERSION, "params": params, "method": method})


def _members(payload: bytes) -> dict[str, object]:
    try:
        members = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise AlinkError("the payload is not JSON") from error
    if not isinstance(members, dict):
        raise AlinkError("the payload is not a JSON object")
    return members


def _wants_reply(system: object) -> bool:
    return not (isinstance(system, dict) and system.get("ack") in (0, "0"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _id(value: object, payload: bytes) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _as_written(value, payload)


def _as_written(value: object, payload: bytes) -> str:
    """An id that is a fraction, or past 64 bits: the digits are taken as they stand in the bytes."""
    try:
        written = json.loads(payload, parse_float=str, parse_int=str).get("id")
    except (RecursionError, ValueError):
        written = None
    return written if isinstance(written, str) else orjson.dumps(value).decode()
