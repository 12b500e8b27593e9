"""Sub-devices: what a gateway device says of the devices behind it (device-mqtt §10).

    combine/login         {productKey, deviceName, clientId, timestamp, signMethod, sign, cleanSession}
    combine/batch_login   {"signMethod": ..., "deviceList": [the same, a signMethod of its own being optional]}
    thing/topo/add        [the same]
    logout, topo/delete   {productKey, deviceName} or a list of them

A proof is signed like a CONNECT, under the sub-device's secret, except that the whole `clientId` is signed, whatever
stands behind a bar in it. Real gateways write `signmethod` and `signMethod`, `hmacSha256` and `hmacsha1`, timestamps as
strings and as numbers, `cleanSession` as a string; all of that is accepted. A list where one is asked for, and one
where a list is asked for, are understood as well.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from thinghub.device_protocol.connect import names_device
from thinghub.device_protocol.signing import SignMethod

MAX_BATCH = 50
MAX_CLIENT_ID = 256
MAX_TIMESTAMP = 32
MAX_SIGN = 128

_Read = TypeVar("_Read")
_METHODS = ("signMethod", "signmethod")


class MalformedSubDevice(ValueError):
    """The params are not what the topic carries; answered with 460."""


@dataclass(frozen=True, slots=True, order=True)
class SubDeviceName:
    product_key: str
    device_name: str


@dataclass(frozen=True, slots=True)
class SubDeviceProof:
    """What a gateway claims of a sub-device, not yet proven: `signed_content` of it is what `password` signs.
    `timestamp` is "" when it was not sent."""

    product_key: str
    device_name: str
    client_id: str
    sign_method: SignMethod
    timestamp: str
    clean: bool
    password: str = field(repr=False)

    @property
    def name(self) -> SubDeviceName:
        return SubDeviceName(self.product_key, self.device_name)


def read_proofs(params: object, limit: int = MAX_BATCH) -> list[SubDeviceProof]:
    """Of one log-in, a batch, or a topology addition; in order, duplicates included. Raises MalformedSubDevice."""
    method: object = None
    if isinstance(params, dict) and "deviceList" in params:
        method = _method_named(params)
        params = params["deviceList"]
    return _each(params, limit, lambda entry: _proof(entry, method))


def read_names(params: object, limit: int = MAX_BATCH) -> list[SubDeviceName]:
    """Of a log-out or a topology deletion; in order, duplicates included. Raises MalformedSubDevice."""
    if isinstance(params, dict) and "deviceList" in params:
        params = params["deviceList"]
    return _each(params, limit, _name)


def _each(params: object, limit: int, read: Callable[[dict[object, object]], _Read]) -> list[_Read]:
    entries = params if isinstance(params, list) else [params]
    if not 1 <= len(entries) <= limit:
        raise MalformedSubDevice(f"1 to {limit} sub-devices are named at once")
    return [read(_object(entry)) for entry in entries]


def _object(entry: object) -> dict[object, object]:
    if not isinstance(entry, dict):
        raise MalformedSubDevice("a sub-device is an object with productKey and deviceName")
    return entry


def _name(entry: dict[object, object]) -> SubDeviceName:
    product_key, device_name = entry.get("productKey"), entry.get("deviceName")
    if not isinstance(product_key, str) or not isinstance(device_name, str):
        raise MalformedSubDevice("a sub-device has productKey and deviceName")
    if not names_device(product_key, device_name):
        raise MalformedSubDevice("productKey or deviceName is malformed")
    return SubDeviceName(product_key, device_name)


def _proof(entry: dict[object, object], method: object) -> SubDeviceProof:
    name = _name(entry)
    return SubDeviceProof(
        name.product_key,
        name.device_name,
        _text(entry, "clientId", MAX_CLIENT_ID),
        _sign_method(_method_named(entry) or method),
        _timestamp(entry.get("timestamp")),
        _clean(entry.get("cleanSession")),
        _text(entry, "sign", MAX_SIGN).strip(),
    )


def _text(entry: dict[object, object], member: str, longest: int) -> str:
    value = entry.get(member)
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise MalformedSubDevice(f"{member} has 1 to {longest} characters")
    return value


def _timestamp(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TIMESTAMP:
        raise MalformedSubDevice("timestamp is a number or its text")
    return value


def _clean(value: object) -> bool:
    return not (value is False or (isinstance(value, str) and value.strip().lower() == "false"))


def _method_named(entry: dict[object, object]) -> object:
    return next((entry[name] for name in _METHODS if entry.get(name)), None)


def _sign_method(name: object) -> SignMethod:
    """Absent it is HMAC-MD5, as in a CONNECT."""
    if name is None:
        return SignMethod.HMAC_MD5
    try:
        return SignMethod(name.strip().lower() if isinstance(name, str) else "")
    except ValueError as error:
        raise MalformedSubDevice("the sign method is not served") from error
