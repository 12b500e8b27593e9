"""Records of API changes: who called what, on what, and what became of it.

A record is written before the call is performed and completed afterwards, so a change without a record cannot be; a
record without an outcome is of a call that was cut off, and its effect has to be looked up.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from thinghub.auth.errors import RequestInvalid

MAX_PAGE = 500
MAX_TEXT = 256
MAX_NAMES = 40
MAX_VALUE = 1100
PRODUCT, DEVICE = "ProductKey", "DeviceName"


@dataclass(frozen=True, slots=True)
class AuditedCall:
    """`target` are names of what is acted on, by member of the public contract."""

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
    """`code` is empty and `finished_ms` 0 while the outcome is not known."""

    record_id: int
    time_ms: int
    call: AuditedCall
    code: str
    finished_ms: int


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Empty and 0 match everything; `before` is a record's id, `until_ms` exclusive."""

    before: int = 0
    limit: int = MAX_PAGE
    instance_id: str = ""
    access_key_id: str = ""
    action: str = ""
    product_key: str = ""
    device_name: str = ""
    code: str = ""
    from_ms: int = 0
    until_ms: int = 0


def check_call(call: AuditedCall) -> None:
    """Raises RequestInvalid: records are small, whatever callers send."""
    texts = (call.access_key_id, call.instance_id, call.action, call.request_id, call.face, call.source_address)
    if not call.access_key_id or not call.action:
        raise RequestInvalid("an audit record names its caller and its action")
    if any(len(text) > MAX_TEXT or "\0" in text for text in (*texts, call.trace_id)):
        raise RequestInvalid(f"a text of an audit record has at most {MAX_TEXT} characters and no NUL")
    check_target(call.target)


def check_target(target: Mapping[str, str]) -> None:
    if len(target) > MAX_NAMES:
        raise RequestInvalid(f"an audit record has at most {MAX_NAMES} names of targets")
    if any(len(name) > MAX_TEXT or len(value) > MAX_VALUE or "\0" in name + value for name, value in target.items()):
        raise RequestInvalid(f"a target of an audit record has at most {MAX_VALUE} characters and no NUL")


def check_query(query: AuditQuery) -> None:
    texts = (query.instance_id, query.access_key_id, query.action, query.product_key, query.device_name, query.code)
    if not 0 <= query.limit <= MAX_PAGE:
        raise RequestInvalid(f"a page has 1 to {MAX_PAGE} records")
    if any(len(text) > MAX_TEXT or "\0" in text for text in texts):
        raise RequestInvalid(f"a filter has at most {MAX_TEXT} characters and no NUL")
