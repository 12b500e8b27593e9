"""What a device is sent on `/shadow/get/{pk}/{dn}` (device-mqtt §5). Times are epoch seconds."""

from collections.abc import Mapping

import orjson

from thinghub.shadow.domain.document import DEVICE_ERRORS, Problem, Shadow
from thinghub.shadow.domain.document_tree import metadata


def topic(product_key: str, device_name: str) -> str:
    return f"/shadow/get/{product_key}/{device_name}"


def updated(version: int, now_s: int) -> bytes:
    return b'{"method":"reply","payload":{"status":"success","version":%d},"timestamp":%d}' % (version, now_s)


def refused(problem: Problem, now_s: int) -> bytes:
    return _REFUSED[problem] % now_s


def whole(shadow: Shadow, now_s: int) -> bytes:
    """The answer to a `get`."""
    return _document("reply", shadow, now_s)


def control(shadow: Shadow, now_s: int) -> bytes:
    """What is desired, for the device to act on."""
    return _document("control", shadow, now_s)


def _document(method: str, shadow: Shadow, now_s: int) -> bytes:
    since: dict[str, object] = {"reported": metadata(shadow.reported_at)}
    if shadow.desired:
        since["desired"] = metadata(shadow.desired_at)
    payload = {
        "status": "success",
        "state": {"reported": shadow.reported, "desired": shadow.desired},
        "metadata": since,
    }
    return orjson.dumps({"method": method, "payload": payload, "version": shadow.version, "timestamp": now_s})


def _error(code: int, text: str) -> bytes:
    content = orjson.dumps({"errorcode": str(code), "errormessage": text})
    return b'{"method":"reply","payload":{"status":"error","content":%s},"timestamp":%%d}' % content


_FAILED = DEVICE_ERRORS[Problem.FAILED]
_REFUSED: Mapping[Problem, bytes] = {problem: _error(*DEVICE_ERRORS.get(problem, _FAILED)) for problem in Problem}
