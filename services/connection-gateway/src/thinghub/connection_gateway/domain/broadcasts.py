"""A broadcast, and what became of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.outcomes import Outcome

MAX_PAYLOAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Broadcast:
    """`topic` empty: every online device, each on its own system topic."""

    product_key: str
    topic: str
    payload: bytes
    message_id: int

    def topic_of(self, device: Device) -> str:
        if self.topic:
            return self.topic
        return f"/sys/{device.product_key}/{device.device_name}/broadcast/request/{self.message_id}"

    @property
    def is_valid(self) -> bool:
        """Whether it goes to this product only."""
        prefix = f"/broadcast/{self.product_key}/"
        named = bool(self.product_key) and not any(mark in self.product_key for mark in "/+#")
        below = not self.topic or (self.topic.startswith(prefix) and len(self.topic) > len(prefix))
        return named and below and not any(mark in self.topic for mark in "+#\0") and len(self.payload) <= MAX_PAYLOAD


@dataclass(frozen=True, slots=True)
class Reached:
    """Devices by what became of it; gateways that did not answer."""

    sent: int = 0
    no_subscriber: int = 0
    failed: int = 0
    unreachable: tuple[str, ...] = ()

    def __add__(self, other: "Reached") -> "Reached":
        return Reached(
            self.sent + other.sent,
            self.no_subscriber + other.no_subscriber,
            self.failed + other.failed,
            self.unreachable + other.unreachable,
        )


def counted(outcomes: Iterable[Outcome]) -> Reached:
    """A device that went away meanwhile is not online and not counted."""
    reached = Reached()
    for outcome in outcomes:
        if outcome in (Outcome.SENT, Outcome.DELIVERED):
            reached += Reached(sent=1)
        elif outcome is Outcome.NO_SUBSCRIBER:
            reached += Reached(no_subscriber=1)
        elif outcome is not Outcome.OFFLINE:
            reached += Reached(failed=1)
    return reached
