"""What both sides agree on: bounds, addresses, and how a fault travels (status and trailing metadata)."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import grpc

from thinghub.common import errors
from thinghub.common.errors import Fault, RemoteFault, Unavailable

DEADLINE = 5.0
MESSAGE_BYTES = 16 << 20

KIND, REASON, MESSAGE, DETAILS = "thinghub-kind", "thinghub-reason", "thinghub-message", "thinghub-details"
TRACEPARENT = "traceparent"
TEXT_CHARS = 2000  # of a message or the details, encoded: all metadata of a call have to fit in 8 kB

STATUS: dict[str, grpc.StatusCode] = {
    "InvalidArgument": grpc.StatusCode.INVALID_ARGUMENT,
    "Unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "PermissionDenied": grpc.StatusCode.PERMISSION_DENIED,
    "NotFound": grpc.StatusCode.NOT_FOUND,
    "AlreadyExists": grpc.StatusCode.ALREADY_EXISTS,
    "FailedPrecondition": grpc.StatusCode.FAILED_PRECONDITION,
    "ResourceExhausted": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "Unavailable": grpc.StatusCode.UNAVAILABLE,
}
_KINDS = {status: kind for kind, status in STATUS.items()}

COMMON_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]


def status_of(fault: Fault) -> grpc.StatusCode:
    return STATUS.get(kind_of(fault), grpc.StatusCode.UNKNOWN)


def metadata_of(fault: Fault) -> tuple[tuple[str, str], ...]:
    """The trailing metadata that carry a fault."""
    metadata = [(KIND, kind_of(fault)), (REASON, reason_of(fault)), (MESSAGE, _encoded(fault.message))]
    details = quote(json.dumps(fault.details))
    if fault.details and len(details) <= TEXT_CHARS:
        metadata.append((DETAILS, details))
    return tuple(metadata)


def _encoded(text: str) -> str:
    """Percent-encoded, for metadata are ASCII; cut where it is too long."""
    while len(encoded := quote(text[:TEXT_CHARS])) > TEXT_CHARS:
        text = text[: min(len(text), TEXT_CHARS) // 2]
    return encoded


def kind_of(fault: Fault) -> str:
    if isinstance(fault, RemoteFault):
        return fault.kind
    return next((kind.__name__ for kind in type(fault).__mro__ if kind.__module__ == errors.__name__), "Fault")


def reason_of(fault: Fault) -> str:
    return fault.remote_reason if isinstance(fault, RemoteFault) else fault.reason


def fault_of(error: grpc.aio.AioRpcError, method: str, target: str) -> Fault:
    """What a client raises for a status."""
    trailing: Any = error.trailing_metadata() or ()  # Any: the stubs do not know that it is a sequence of pairs
    said = {name: value for name, value in trailing if isinstance(value, str)}
    if KIND in said:
        fault = RemoteFault(said[KIND], said.get(REASON, "fault"), unquote(said.get(MESSAGE, "")))
        fault.details = json.loads(unquote(said.get(DETAILS, "{}")))  # its names may be those of our parameters
        return fault
    status = error.code()
    if status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return Unavailable(f"{method} at {target}: {error.details()}")
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unavailable(f"{method} at {target}: no answer in time")
    kind = _KINDS.get(status, "Internal")
    return RemoteFault(kind, status.name.lower(), error.details() or "")


def unix_path(target: str) -> Path:
    rest = target.removeprefix("unix:")
    return Path(rest[2:] if rest.startswith("//") else rest).absolute()
