"""What the sweep of the status projection asks."""

from collections.abc import Sequence
from typing import Protocol

from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.sweeping import Held, Projected, Repair


class SweptStatuses(Protocol):
    """Raises StoreUnavailable."""

    async def page(self, after: DeviceId, seen_after_ms: int, limit: int) -> Sequence[Projected]:
        """In the order of names: devices that are online, or were after that time."""

    async def repair(self, repairs: Sequence[Repair]) -> int:
        """Changes the rows that still are as they were read; how many."""


class Claims(Protocol):
    async def held(self, devices: Sequence[DeviceId]) -> Sequence[Held | None]:
        """One a device, in order. Raises Unavailable."""


class Turns(Protocol):
    async def take(self, seconds: float) -> bool:
        """Whether it is this process's turn, for so long from now. Raises Unavailable."""
