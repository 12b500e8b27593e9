"""Sending a message as the platform: to a device, and to the rules that look at its topics."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PlatformMessage:
    """A custom message of a device that a rule made. `hops` counts rules on its way."""

    id: int
    product_key: str
    device_name: str
    topic: str
    payload: bytes
    qos: int
    hops: int
    received_ms: int
    traceparent: str


class Delivered(Enum):
    """What became of a message for a device; only FAILED asks for another try."""

    DELIVERED = "delivered"
    SENT = "sent"
    QUEUED = "queued"
    NO_SUBSCRIBER = "no_subscriber"
    OFFLINE = "offline"
    TIMEOUT = "timeout"
    EXPIRED = "expired"
    FAILED = "failed"


class Devices(Protocol):
    async def deliver(self, messages: Sequence[PlatformMessage]) -> list[Delivered]:
        """One a message, in order. Raises Unavailable."""


class CustomMessages(Protocol):
    async def put(self, messages: Sequence[PlatformMessage]) -> None:
        """Returns when they are durable on the bus. Raises Unavailable, ResourceExhausted."""
