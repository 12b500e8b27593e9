"""Tags in the registry's store, and replies to devices."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.tags import TagState


class TagUnit(Protocol):
    """One transaction that holds the tags of some devices."""

    @property
    def states(self) -> Mapping[DeviceId, TagState]:
        """Of those that exist."""

    async def write(self, states: Mapping[DeviceId, TagState]) -> None:
        """Replaces what these devices had."""


class TagStore(Protocol):
    """Raises StoreUnavailable."""

    def holding(self, devices: Sequence[DeviceId]) -> AbstractAsyncContextManager[TagUnit]:
        """Nobody else changes the tags of these devices until the block ends."""

    async def read(self, device: DeviceId) -> TagState: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """To the connection that asked; when that is gone, to the device wherever it is."""

    device: DeviceId
    topic: str
    payload: bytes
    message_id: int
    origin: str
    handle: int


class Replies(Protocol):
    async def send(self, replies: Sequence[Reply]) -> None:
        """Raises Unavailable."""
