"""The other parts of the platform."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from thinghub.ota.domain.models import DeviceId, Target
from thinghub.ota.ports.store import Announcement


class Registry(Protocol):
    """Raises the registry's faults, and Unavailable."""

    async def instance_of(self, instance_id: str, product_key: str) -> str:
        """The product's instance; product_not_found when it is not there or not in that instance."""

    async def find(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, str]:
        """IotIds of those that exist."""

    async def page(self, product_key: str, cursor: str) -> tuple[Sequence[Target], str]:
        """Devices of the product and the next page's token, empty after the last."""


class Told(Enum):
    """What became of a push."""

    TOLD = auto()
    OFFLINE = auto()
    NOT_YET = auto()


@dataclass(frozen=True, slots=True)
class Downlink:
    """`origin` and `handle` name the connection that a reply answers."""

    device: DeviceId
    topic: str
    payload: bytes
    message_id: int
    origin: str = ""
    handle: int = 0


class Devices(Protocol):
    async def deliver(self, messages: Sequence[Downlink]) -> Sequence[Told]:
        """One a message, in order. Raises Unavailable."""


class Announcer(Protocol):
    async def announce(self, announcements: Sequence[Announcement]) -> None:
        """Returns when the bus has them. Raises Unavailable."""


class Counts(Protocol):
    def reports(self, what: str, number: int = 1) -> None: ...
    def pushes(self, outcome: str, number: int) -> None: ...
    def transfers(self, what: str, outcome: str) -> None: ...
