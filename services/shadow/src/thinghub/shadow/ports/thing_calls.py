"""What calls to devices need: a record of them, and a way to wait for an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import Sending, Span


@dataclass(frozen=True, slots=True)
class CallRow:
    """`output` is None until the device answered."""

    device: Device
    received_ms: int
    message_id: int
    identifier: str
    name: str
    input: str
    output: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """What a device answered to its call `message_id` of the service `identifier`."""

    device: Device
    message_id: int
    identifier: str
    replied_ms: int
    code: int
    output: str


class Calls(Protocol):
    """The record of calls. Raises StoreUnavailable. A repeated write changes nothing."""

    async def begin(self, rows: Sequence[CallRow]) -> None: ...

    async def answered(self, answers: Sequence[AnswerRow]) -> None:
        """Each into the newest call of that device, id and service that is at most eight days old and has no answer
        yet; one that belongs to none is passed over."""

    async def find(self, device: Device, identifier: str, span: Span) -> Sequence[CallRow]:
        """By the time of the call, at most one more than the limit; an empty identifier is any."""


class Commands(Protocol):
    async def outcomes(self, messages: Sequence[Sending]) -> Sequence[str]:
        """Sends them; what became of each, in order: delivered, sent, queued, no_subscriber, offline, timeout, expired,
        failed. Raises Fault when no gateway took them."""


class Ended(Enum):
    ANSWERED = "answered"
    # The device acknowledged the request and did not answer in time.
    TIMEOUT = "timeout"
    OFFLINE = "offline"
    # The device did not even acknowledge it: its connection may be dead.
    HALF_CONNECTED = "half_connected"
    # The connection tier could not send it.
    NOT_SENT = "not_sent"


class Exchange(NamedTuple):
    ended: Ended
    payload: bytes = b""


class Requests(Protocol):
    async def request(self, device: Device, topic: str, payload: bytes, timeout_ms: int) -> Exchange:
        """Sends a request and waits for the answer: below `/ext/rrpc/{id}` on that topic to a client that says it can
        (`ext=1`), else on its `rrpc/request/{id}`. Raises Unavailable."""
