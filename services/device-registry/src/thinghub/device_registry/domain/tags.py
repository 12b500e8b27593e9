"""Tags of a device (device-mqtt §4, open-api §4): keys with values, the user's and, kept apart, the SDK's own.

Lengths are not confirmed: they are wide enough for what SDKs report, and bounded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from thinghub.device_protocol.alink import Request, parse_request
from thinghub.device_protocol.codes import Alink
from thinghub.device_registry.domain.devices import DeviceId

MAX_TAGS = 100
MAX_KEY = 128
MAX_VALUE = 1024
USER, SYSTEM = "", "SYSTEM"
UPDATE, DELETE = "update", "delete"
TOO_MANY = f"a device has at most {MAX_TAGS} tags"

Tags = Mapping[tuple[str, str], str]
"""Values by domain and key."""


@dataclass(frozen=True, slots=True)
class TagState:
    """A device's tags, and the epoch and sequence of the last message that changed them."""

    tags: Tags
    epoch: int = 0
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class TagChange:
    """What one message asks for: values to set, keys to remove, each by domain and key."""

    device: DeviceId
    epoch: int
    sequence: int
    values: Tags
    removed: frozenset[tuple[str, str]] = frozenset()


class TagsInvalid(ValueError):
    """What was given are no tags."""


def read_change(payload: bytes, topic: str, device: DeviceId, epoch: int, sequence: int) -> tuple[Request, TagChange]:
    """Raises AlinkError when there is nothing to reply to, TagsRefused with the reply's request."""
    request = parse_request(payload)
    try:
        if topic.endswith("/" + DELETE):
            keys = [(_domain(one), _key(one.get("attrKey"))) for one in _entries(request.params)]
            return request, TagChange(device, epoch, sequence, {}, frozenset(keys))
        values = {
            (_domain(one), _key(one.get("attrKey"))): _value(one.get("attrValue")) for one in _entries(request.params)
        }
        return request, TagChange(device, epoch, sequence, values)
    except TagsInvalid as error:
        raise TagsRefused(request, str(error)) from error


class TagsRefused(Exception):
    def __init__(self, request: Request, message: str) -> None:
        super().__init__(message)
        self.request = request
        self.message = message


def apply(state: TagState | None, change: TagChange) -> tuple[TagState | None, Alink, str]:
    """The new state, and the code and message of the reply. None is a device that does not exist. A message that comes
    again changes nothing and is answered as the first time."""
    if state is None:
        return None, Alink.DEVICE_NOT_FOUND, "the device does not exist"
    if (change.epoch, change.sequence) <= (state.epoch, state.sequence):
        return state, Alink.SUCCESS, "success"
    tags = {**{key: value for key, value in state.tags.items() if key not in change.removed}, **change.values}
    if too_many(tags):
        return state, Alink.PARAMETER_ERROR, TOO_MANY
    return replace(state, tags=tags, epoch=change.epoch, sequence=change.sequence), Alink.SUCCESS, "success"


def too_many(tags: Tags) -> bool:
    """Each domain has its own bound, so that what an SDK reports never costs the user a tag."""
    return any(sum(one == domain for one, _ in tags) > MAX_TAGS for domain in (USER, SYSTEM))


def check_tag(key: str, value: str) -> None:
    """Raises TagsInvalid."""
    _key(key)
    _value(value)


def _entries(params: object) -> list[dict[str, object]]:
    if not isinstance(params, list) or not params or not all(isinstance(one, dict) for one in params):
        raise TagsInvalid("params is a list of objects with attrKey")
    if len(params) > MAX_TAGS:
        raise TagsInvalid(f"a message has at most {MAX_TAGS} tags")
    return params


def _domain(entry: dict[str, object]) -> str:
    domain = entry.get("domain")
    if domain in (None, "", "USER"):
        return USER
    if domain == SYSTEM:
        return SYSTEM
    raise TagsInvalid("domain is SYSTEM or absent")


def _key(key: object) -> str:
    if not isinstance(key, str) or not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        raise TagsInvalid(f"attrKey has 1 to {MAX_KEY} printable characters")
    return key


def _value(value: object) -> str:
    """Numbers and booleans are kept as JSON writes them."""
    if isinstance(value, bool | int | float):
        value = orjson.dumps(value).decode()
    if not isinstance(value, str) or len(value) > MAX_VALUE or "\0" in value:
        raise TagsInvalid(f"attrValue is a text of at most {MAX_VALUE} characters")
    return value
