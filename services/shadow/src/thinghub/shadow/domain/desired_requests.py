"""What devices ask of their desired properties (device-mqtt §4, "Desired").

    thing/property/desired/get      ["power"]; [] is every one that is desired
    thing/property/desired/delete   {"power": {"version": 1}}, {"power": {}} whatever its version, {} everything

Names that no property could have are passed over, as unknown properties are in a post.
"""

import re
from dataclasses import dataclass
from typing import Final

from thinghub.device_protocol.codes import Alink
from thinghub.shadow.domain.thing_posts import Refused

MAX_IDENTIFIERS: Final = 200
TOO_MANY: Final = 6104
QUERY_FAILED: Final = 6661

_GET: Final = "/thing/property/desired/get"
_DELETE: Final = "/thing/property/desired/delete"
_LEVELS: Final = 8
_IDENTIFIER = re.compile(r"[A-Za-z0-9_]{1,50}(:[A-Za-z0-9_]{1,50})?")
_MAX_VERSION: Final = 1 << 53


@dataclass(frozen=True, slots=True)
class Wanted:
    """Empty and not `everything`: nothing that could be desired was named."""

    identifiers: tuple[str, ...]
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Cleared:
    """A version is None where any will do."""

    versions: dict[str, int | None]
    everything: bool = False


def is_desired(topic: str) -> bool:
    return topic.endswith((_GET, _DELETE)) and topic.count("/") == _LEVELS - 1


def read_desired(topic: str, params: object) -> Wanted | Cleared:
    """Raises Refused."""
    return _wanted(params) if topic.endswith(_GET) else _cleared(params)


def version_of(value: object) -> int | None:
    """A version, as a number or as its digits; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    return value if type(value) is int and 0 <= value < _MAX_VERSION else None


def _wanted(params: object) -> Wanted:
    if not isinstance(params, list):
        raise Refused(Alink.PARAMETER_ERROR, "request parameter error: params is not an array")
    _check_count(len(params))
    if not all(isinstance(one, str) for one in params):
        raise Refused(Alink.PARAMETER_ERROR, "request parameter error: params has identifiers")
    return Wanted(tuple(dict.fromkeys(filter(_IDENTIFIER.fullmatch, params))), everything=not params)


def _cleared(params: object) -> Cleared:
    if not isinstance(params, dict):
        raise Refused(Alink.PARAMETER_ERROR, "request parameter error: params is not an object")
    _check_count(len(params))
    versions = {name: _version(member) for name, member in params.items()}
    return Cleared({name: one for name, one in versions.items() if _IDENTIFIER.fullmatch(name)}, everything=not params)


def _version(member: object) -> int | None:
    if not isinstance(member, dict):
        raise Refused(Alink.PARAMETER_ERROR, "request parameter error: a property has an object")
    if member.get("version") is None:
        return None
    version = version_of(member["version"])
    if version is None:
        raise Refused(Alink.PARAMETER_ERROR, "request parameter error: a version is an integer")
    return version


def _check_count(count: int) -> None:
    if count > MAX_IDENTIFIERS:
        raise Refused(TOO_MANY, f"more than {MAX_IDENTIFIERS} properties")
