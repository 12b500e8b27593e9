"""What became of a downlink message."""

from dataclasses import dataclass
from enum import StrEnum

from thinghub.connection_gateway.domain.device import Device


class Outcome(StrEnum):
    """The same words as the core uses, and those that only the platform can say."""

    DELIVERED = "delivered"
    SENT = "sent"
    QUEUED = "queued"
    # Queued as well; older messages of a full queue gave way to it.
    DISPLACED = "displaced"
    NO_SUBSCRIBER = "no_subscriber"
    OFFLINE = "offline"
    TIMEOUT = "timeout"
    EXPIRED = "expired"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Downlink:
    """One message to a device. `origin` and `handle` name the connection that a reply answers; `ttl_ms` 0 is no end.
    `sequence` is its place in the queue of a persistent session, when it is stored there already."""

    device: Device
    topic: str
    payload: bytes
    qos: int
    message_id: int
    origin: str = ""
    handle: int = 0
    ttl_ms: int = 0
    sequence: int = 0
