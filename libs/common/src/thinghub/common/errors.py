"""Faults: what a caller may be told.

    Fault
    ├── InvalidArgument      the request itself is wrong
    ├── Unauthenticated      who are you
    ├── PermissionDenied     not for you
    ├── NotFound             no such thing
    ├── AlreadyExists        it is there already
    ├── FailedPrecondition   not in this state
    ├── ResourceExhausted    a limit was reached
    ├── Unavailable          try again: a part is away
    └── RemoteFault          one of the above, raised by another service

A service subclasses a kind and names its `reason`, one stable word; only entrypoints know status codes.
"""

from typing import ClassVar


class Fault(Exception):
    """A refusal with a machine word (`reason`), a sentence for a person, and details as text."""

    reason: ClassVar[str] = "fault"

    def __init__(self, message: str, **details: str) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class InvalidArgument(Fault):
    reason = "invalid_argument"


class Unauthenticated(Fault):
    reason = "unauthenticated"


class PermissionDenied(Fault):
    reason = "permission_denied"


class NotFound(Fault):
    reason = "not_found"


class AlreadyExists(Fault):
    reason = "already_exists"


class FailedPrecondition(Fault):
    reason = "failed_precondition"


class ResourceExhausted(Fault):
    reason = "resource_exhausted"


class Unavailable(Fault):
    reason = "unavailable"


class RemoteFault(Fault):
    """A fault that another service raised; `remote_reason` and `kind` are that service's."""

    reason = "remote"

    def __init__(self, kind: str, remote_reason: str, message: str, **details: str) -> None:
        super().__init__(message, **details)
        self.kind = kind
        self.remote_reason = remote_reason
