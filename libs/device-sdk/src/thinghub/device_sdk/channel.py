"""What the things a device can do need of whatever carries them: its own connection, or its gateway's."""

from typing import Protocol

# Limits of the platform (device-mqtt §1.4).
MAX_PAYLOAD = 256 * 1024
MAX_TOPIC = 128


class Channel(Protocol):
    """`Connection` of a device, `SubConnection` of a sub-device."""

    @property
    def connected(self) -> bool: ...

    @property
    def wanted(self) -> bool:
        """Whether it was asked to be up: entered, or logged in."""

    async def wait_up(self, deadline: float) -> None:
        """Raises CannotConnect when time is up, or what ended it for good."""

    async def publish(self, topic: str, payload: bytes, qos: int, deadline: float) -> None:
        """QoS 1: returns after the PUBACK; QoS 0: after writing, raises NotConnected when there is no connection.

        Raises DeadlineExceeded, TooManyWaiting, ValueError for what no platform takes."""

    async def subscribe(self, filter_: str, qos: int, deadline: float) -> None:
        """Kept over reconnects. Raises SubscriptionRefused, DeadlineExceeded."""

    def subscribe_later(self, filter_: str, qos: int) -> None:
        """With the next connection; for what is known before the first."""

    async def unsubscribe(self, filter_: str, deadline: float) -> None: ...


def check_publish(topic: str, payload: bytes, qos: int) -> None:
    """Raises ValueError for what no platform takes."""
    if len(payload) > MAX_PAYLOAD or len(topic.encode()) > MAX_TOPIC:
        raise ValueError(f"a payload has at most {MAX_PAYLOAD} bytes and a topic {MAX_TOPIC}")
    if qos not in (0, 1):
        raise ValueError("the platform has QoS 0 and 1")
