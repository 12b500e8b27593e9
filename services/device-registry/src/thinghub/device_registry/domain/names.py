"""Identifiers: what may be given, and what is generated (open-api §4)."""

import re
import secrets
import string

from thinghub.device_registry.errors import (
    DeviceNameInvalid,
    InstanceInvalid,
    IotIdInvalid,
    ProductKeyInvalid,
    ProductNameInvalid,
    RequestInvalid,
)

_ALPHANUMERIC = string.ascii_letters + string.digits
_PRODUCT_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DEVICE_NAME = re.compile(r"[A-Za-z0-9_@.:-]{4,32}")
_IOT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INSTANCE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_SIGNS = " _-@()（）"
MAX_TEXT = 256


def generate_product_key() -> str:
    """11 characters, beginning `a1`."""
    return "a1" + _random(9)


def generate_device_name() -> str:
    return _random(20)


def generate_iot_id() -> str:
    """30 characters, unique over everything."""
    return _random(30)


def generate_instance_id() -> str:
    return "iot-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))


def check_product_key(product_key: str) -> None:
    if not _PRODUCT_KEY.fullmatch(product_key):
        raise ProductKeyInvalid("a product key has 1 to 64 letters, digits, dots, dashes and underscores")


def check_product_name(name: str) -> None:
    """4 to 30 characters: letters and digits of any script, spaces, `_ - @ ( )`. As in the contract a Chinese or
    Japanese character counts as two towards the least; towards the most it counts as one, which refuses nobody."""
    width = sum(1 if character.isascii() else 2 for character in name)
    if width < 4 or len(name) > 30:
        raise ProductNameInvalid("a product name has 4 to 30 characters")
    if not all(character.isalnum() or character in _NAME_SIGNS for character in name):
        raise ProductNameInvalid("a product name has letters, digits, spaces and _ - @ ( ) only")


def check_device_name(name: str) -> None:
    if not _DEVICE_NAME.fullmatch(name):
        raise DeviceNameInvalid("a device name has 4 to 32 letters, digits and - _ @ . :")


def check_iot_id(iot_id: str) -> None:
    if not _IOT_ID.fullmatch(iot_id):
        raise IotIdInvalid("an IotId has 1 to 64 letters, digits, dashes and underscores")


def check_instance_id(instance_id: str) -> None:
    if not _INSTANCE_ID.fullmatch(instance_id):
        raise InstanceInvalid("an instance id has 1 to 64 letters, digits, dashes and underscores")


def check_text(text: str, what: str, most: int = MAX_TEXT) -> None:
    if len(text) > most or "\0" in text:
        raise RequestInvalid(f"{what} has at most {most} characters", member=what)
