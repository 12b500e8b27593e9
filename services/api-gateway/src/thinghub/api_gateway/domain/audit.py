"""What the audit log keeps of a call: who, what, on what. Never a secret, never a payload.

A target is told by members that name something; a member that is not in the table is not looked at.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

OK = "OK"
MAX_LISTED = 20
MAX_VALUE = 1000
MAX_ADDRESS = 64

TARGETS = frozenset({
    "AccessKeyId", "ActionId", "ApplyId", "BoundInstanceId", "Count", "Days", "DeadLetterIds", "DestVersion",
    "DeviceName", "DeviceNameList", "FirmwareId", "FirmwareName", "FunctionBlockId", "GwDeviceName", "GwIotId",
    "GwProductKey", "Identifier", "InstanceId", "IotId", "JobId", "ModelVersion", "ModuleName", "Name", "ProductKey",
    "ProductName", "PropKey", "Role", "RuleId", "ShortTopic", "TargetDeviceName", "TargetSelection", "TopicFullName",
    "TopicId", "TopicShortName", "Type",
})  # fmt: skip
"""Members, of requests and of answers, that name what a call acts on. All are shown to whoever may read the log."""

COUNTED = frozenset({"DeviceList", "TopoAddItem"})
"""Members with a list of things, of which the log tells how many there were."""


class Recording(Enum):
    """NEVER: device traffic, too much of it to keep. TRY: a command to devices, recorded first where the log can be
    written and performed all the same where not, because it works while PostgreSQL is away. MUST: a change of what the
    platform keeps, not made unless it is recorded."""

    NEVER = "never"
    TRY = "try"
    MUST = "must"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a call came from."""

    request_id: str
    face: str
    source_address: str


@dataclass(frozen=True, slots=True)
class AuditCall:
    access_key_id: str
    instance_id: str
    action: str
    target: Mapping[str, str]
    request_id: str
    face: str
    source_address: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """`code` is empty and `finished_ms` 0 for a call whose outcome is not known."""

    record_id: int
    time_ms: int
    call: AuditCall
    code: str
    finished_ms: int


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Empty and 0 match everything."""

    before: int
    limit: int
    instance_id: str
    access_key_id: str
    action: str
    product_key: str
    device_name: str
    code: str
    from_ms: int
    until_ms: int


def target_of(members: Iterable[tuple[str, object]]) -> dict[str, str]:
    """The names among these members, as bounded text."""
    named: dict[str, str] = {}
    for name, value in members:
        if isinstance(value, list) and name in TARGETS | COUNTED:
            text = _listed(value) if name in TARGETS else f"{len(value)} entries" if value else ""
        elif name in TARGETS and isinstance(value, str | int):
            text = str(value)
        else:
            continue
        if text:
            named[name] = text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 3] + "..."
    return named


def _listed(values: list[object]) -> str:
    shown = ", ".join(str(value) for value in values[:MAX_LISTED])
    return shown if len(values) <= MAX_LISTED else f"{shown} and {len(values) - MAX_LISTED} more"
