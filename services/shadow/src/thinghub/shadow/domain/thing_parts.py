"""Posts that speak for several devices: packs and histories, apart by device (device-mqtt §4).

    thing/event/property/pack/post      {"properties", "events", "subDevices": [{"identity", "properties", "events"}]}
    thing/event/property/history/post   [{"identity", "properties": [{...}], "events": [{...}]}]

A part without an identity is the sender's own. Names that no device could have are no sub-device's: what is kept by
name must not reach another's place.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from thinghub.device_protocol.codes import Alink
from thinghub.shadow.domain.thing_posts import NO_TOPOLOGY, Refused

PACK: Final = "property/pack"
HISTORY: Final = "property/history"
MAX_SUB_DEVICES: Final = 20
TOO_MANY_SUB_DEVICES: Final = 6357
_PRODUCT_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DEVICE_NAME = re.compile(r"[A-Za-z0-9_@.:-]{1,64}")

Name = tuple[str, str]
"""Product key and device name."""


class Part(NamedTuple):
    """`properties` and `events` as they came."""

    device: Name
    properties: object
    events: object


def read_parts(what: str, params: object, own: Name) -> list[Part]:
    """`what` is PACK or HISTORY. Raises Refused."""
    return list(_pack(params, own) if what == PACK else _history(params, own))


def _pack(params: object, own: Name) -> Iterator[Part]:
    given = _object(params)
    yield Part(own, given.get("properties"), given.get("events"))
    subs = given.get("subDevices")
    for one in _several([] if subs is None else subs, MAX_SUB_DEVICES):
        device = _identity(one)
        if device == own:
            raise Refused(NO_TOPOLOGY, "a gateway is not its own sub-device")
        yield Part(device, one.get("properties"), one.get("events"))


def _history(params: object, own: Name) -> Iterator[Part]:
    for one in _several(params, MAX_SUB_DEVICES + 1):
        device = own if one.get("identity") is None else _identity(one)
        yield Part(device, one.get("properties"), one.get("events"))


def _several(value: object, most: int) -> Iterator[Mapping[str, object]]:
    if not isinstance(value, list):
        raise Refused(Alink.PARAMETER_ERROR, "request parameter error: devices come in an array")
    if len(value) > most:
        raise Refused(TOO_MANY_SUB_DEVICES, f"more than {MAX_SUB_DEVICES} sub-devices")
    return (_object(one) for one in value)


def _identity(part: Mapping[str, object]) -> Name:
    identity = _object(part.get("identity"))
    product_key, device_name = identity.get("productKey"), identity.get("deviceName")
    if not isinstance(product_key, str) or not isinstance(device_name, str):
        raise Refused(Alink.PARAMETER_ERROR, "request parameter error: an identity is productKey and deviceName")
    if not _PRODUCT_KEY.fullmatch(product_key) or not _DEVICE_NAME.fullmatch(device_name):
        raise Refused(NO_TOPOLOGY, "no sub-device of this gateway")
    return product_key, device_name


def _object(value: object) -> Mapping[str, object]:
    if isinstance(value, dict):
        return value
    raise Refused(Alink.PARAMETER_ERROR, "request parameter error: an object is expected")
