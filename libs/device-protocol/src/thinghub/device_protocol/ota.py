"""Over-the-air updates: what devices send (device-mqtt §6), what they are told, and the bodies of `ota.data`
(server-subscription §4)."""

from dataclasses import dataclass
from typing import Literal

import orjson

DEFAULT_MODULE = "default"
# `code` of a push is this string; of a reply it is the number 200.
PUSHED = "1000"
NONE_CODE, NONE_MESSAGE = 500, "none upgrade operation of the device."
GET_METHOD = "thing.ota.firmware.get"
MAX_VERSION, MAX_MODULE, MAX_DESC = 64, 64, 255
FAILURES = {-1: "upgrade failed", -2: "download failed", -3: "verification failed", -4: "burning failed"}
# As clients compare them, letter by letter.
DEVICE_SIGN_METHODS = {"MD5": "Md5", "SHA256": "SHA256"}


class MalformedOta(ValueError):
    """The payload is not what the topic carries."""


@dataclass(frozen=True, slots=True)
class Inform:
    version: str
    module: str


@dataclass(frozen=True, slots=True)
class Progress:
    """`step` 1 to 100 is a percentage, -1 to -4 a failure; `module` is empty when the device names none."""

    step: int
    desc: str
    module: str


@dataclass(frozen=True, slots=True)
class Ask:
    """What a device wants to know its upgrade for. `id` is given back as it came; `module` is empty for any."""

    id: object
    module: str


@dataclass(frozen=True, slots=True)
class Package:
    """What a device is told of a package. `sign_method` is MD5 or SHA256, `udi` JSON text or empty."""

    url: str
    size: int
    version: str
    md5: str
    sign: str
    sign_method: str
    module: str
    difference: bool = False
    udi: str = ""


def upgrade_topic(product_key: str, device_name: str) -> str:
    return f"/ota/device/upgrade/{product_key}/{device_name}"


def firmware_get_reply_topic(product_key: str, device_name: str) -> str:
    return f"/sys/{product_key}/{device_name}/thing/ota/firmware/get_reply"


def read_inform(payload: bytes) -> Inform:
    """Raises MalformedOta."""
    params = _params(_members(payload))
    version = params.get("version")
    if not isinstance(version, str) or not 0 < len(version) <= MAX_VERSION or "\0" in version:
        raise MalformedOta(f"a version has 1 to {MAX_VERSION} characters")
    return Inform(version, _module(params) or DEFAULT_MODULE)


def read_progress(payload: bytes) -> Progress:
    """`step` is a number or its text. Raises MalformedOta."""
    params = _params(_members(payload))
    given = params.get("step")
    try:
        step = int(given) if isinstance(given, str | int) and not isinstance(given, bool) else 0
    except ValueError:
        step = 0
    if not (1 <= step <= 100 or step in FAILURES):
        raise MalformedOta("a step is 1 to 100, or -1 to -4")
    desc = params.get("desc", "")
    return Progress(step, desc.replace("\0", "")[:MAX_DESC] if isinstance(desc, str) else "", _module(params))


def read_ask(payload: bytes) -> Ask:
    """Raises MalformedOta."""
    members = _members(payload)
    params = members.get("params")
    return Ask(members.get("id", ""), _module(params) if isinstance(params, dict) else "")


def push_message(number: int, package: Package) -> bytes:
    """On the upgrade topic; `number` is an unsigned 31-bit id."""
    return orjson.dumps({"code": PUSHED, "data": package_data(package), "id": number, "message": "success"})


def request_answer(ask: Ask, package: Package | None) -> bytes:
    """On the upgrade topic, to a device that asked by /ota/device/request."""
    if package is None:
        return orjson.dumps({"code": NONE_CODE, "data": {}, "id": ask.id, "message": NONE_MESSAGE})
    return orjson.dumps({"code": PUSHED, "data": package_data(package), "id": ask.id, "message": "success"})


def firmware_get_reply(ask: Ask, package: Package | None) -> bytes:
    """`data` is empty when there is nothing to upgrade to. The id goes back as text."""
    return orjson.dumps(
        {
            "id": ask.id if isinstance(ask.id, str) else orjson.dumps(ask.id).decode(),
            "code": 200,
            "message": "success",
            "data": package_data(package) if package else {},
            "method": GET_METHOD,
            "version": "1.0",
        }
    )


def package_data(package: Package) -> dict[str, object]:
    data: dict[str, object] = {
        "size": package.size,
        "version": package.version,
        "url": package.url,
        "md5": package.md5,
        "sign": package.sign,
        "signMethod": DEVICE_SIGN_METHODS[package.sign_method],
        "module": package.module,
    }
    if package.difference:
        data["isDiff"] = 1
    if package.udi:
        data["extData"] = {"_package_udi": package.udi}
    return data


def result_topic(product_key: str, device_name: str) -> str:
    return f"/{product_key}/{device_name}/ota/upgrade"


def version_topic(product_key: str, device_name: str) -> str:
    return f"/{product_key}/{device_name}/ota/version/post"


def job_topic(product_key: str, package_id: str, job_id: str) -> str:
    return f"/{product_key}/{package_id}/{job_id}/ota/job/status"


def result_body(
    *,
    iot_id: str,
    product_key: str,
    device_name: str,
    status: str,
    src_version: str,
    dest_version: str,
    desc: str,
    job_id: str,
    task_id: str,
    time_ms: int,
) -> bytes:
    return orjson.dumps(
        {
            "iotId": iot_id,
            "productKey": product_key,
            "deviceName": device_name,
            "status": status,
            "messageCreateTime": time_ms,
            "srcVersion": src_version,
            "destVersion": dest_version,
            "desc": desc,
            "jobId": job_id,
            "taskId": task_id,
        }
    )


def version_body(*, iot_id: str, product_key: str, device_name: str, module: str, version: str, time_ms: int) -> bytes:
    return orjson.dumps(
        {
            "iotId": iot_id,
            "deviceName": device_name,
            "productKey": product_key,
            "moduleName": module,
            "moduleVersion": version,
            "messageCreateTime": time_ms,
        }
    )


def job_body(
    *,
    product_key: str,
    module: str,
    package_id: str,
    job_id: str,
    status: Literal["PLANNED", "IN_PROGRESS", "COMPLETED", "CANCELED"],
    time_ms: int,
) -> bytes:
    return orjson.dumps(
        {
            "productKey": product_key,
            "moduleName": module,
            "packageId": package_id,
            "jobId": job_id,
            "status": status,
            "messageCreateTime": time_ms,
        }
    )


def _members(payload: bytes) -> dict[str, object]:
    try:
        members = orjson.loads(payload)
    except ValueError as error:
        raise MalformedOta("the payload is not JSON") from error
    if not isinstance(members, dict):
        raise MalformedOta("the payload is not a JSON object")
    return members


def _params(members: dict[str, object]) -> dict[str, object]:
    params = members.get("params")
    if not isinstance(params, dict):
        raise MalformedOta("there are no params")
    return params


def _module(params: dict[str, object]) -> str:
    module = params.get("module") or ""
    if not isinstance(module, str) or len(module) > MAX_MODULE or "\0" in module:
        raise MalformedOta(f"a module has at most {MAX_MODULE} characters")
    return module
