"""What posts that speak for several devices need: topology, and latest values that another device brought."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from thinghub.shadow.domain.thing_posts import Item
from thinghub.shadow.ports.documents import Device


class Topology(Protocol):
    async def held(self, gateway: Device, devices: Sequence[Device]) -> Sequence[bool]:
        """One a device, in order: whether it is a sub-device of this gateway. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """Values of a device that did not come by its own session. From a gateway (`via`) they are fenced by the place
    (epoch, sequence) of its messages, which says nothing about the device's own; without one they are of the past, and
    each is newest only if its time is later than what is there."""

    device: Device
    items: Mapping[str, Item]
    via: Device | None = None
    place: tuple[int, int] = (0, 0)


class RelayedProperties(Protocol):
    async def put(self, relayed: Sequence[Relayed]) -> None:
        """In order. Raises StoreUnavailable."""

    async def forget(self, deleted: Sequence[tuple[Device, int]]) -> None:
        """All latest values of devices deleted at epoch milliseconds, unless they have posted since."""
