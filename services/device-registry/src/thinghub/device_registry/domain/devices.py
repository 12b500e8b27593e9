"""Devices: identity and status."""

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum

from thinghub.device_registry.errors import PageInvalid

MAX_NICKNAME = 64


@dataclass(frozen=True, slots=True, order=True)
class DeviceId:
    product_key: str
    device_name: str


@dataclass(frozen=True, slots=True)
class DeviceRef:
    """Names a device: `iot_id` wins over `device`."""

    iot_id: str = ""
    device: DeviceId | None = None


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """The projection of a device's sessions; epoch milliseconds, 0 for never."""

    online: bool = False
    activated_ms: int = 0
    last_online_ms: int = 0
    client_address: str = ""
    epoch: int = 0


class Presence(StrEnum):
    """A device's status in lists: disabled over online over offline; unactive when it never was online."""

    UNACTIVE = "unactive"
    ONLINE = "online"
    OFFLINE = "offline"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class DeviceCounts:
    """`active` were online at least once."""

    devices: int
    online: int
    active: int


@dataclass(frozen=True, slots=True)
class Device:
    """`product_name`, `node_type` and `instance_id` are its product's."""

    id: DeviceId
    iot_id: str
    nickname: str = ""
    disabled: bool = False
    created_ms: int = 0
    modified_ms: int = 0
    status: DeviceStatus = DeviceStatus()
    product_name: str = ""
    node_type: int = 0
    instance_id: str = ""
    sn: str = ""


def page_token(last: DeviceId) -> str:
    """Names the last device of a page; opaque to callers."""
    return base64.urlsafe_b64encode(last.device_name.encode()).decode().rstrip("=")


def read_page_token(token: str) -> str:
    """The device name after which the page begins. Raises PageInvalid."""
    try:
        name = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise PageInvalid("the page token is not one of ours") from error
    if not name or "\0" in name:
        raise PageInvalid("the page token is not one of ours")
    return name
