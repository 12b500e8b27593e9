"""Applications and batches of devices in the registry's store. Raises StoreUnavailable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from thinghub.device_registry.domain.announcements import Announcement
from thinghub.device_registry.domain.applications import Application, Entry, Refusal, State
from thinghub.device_registry.domain.devices import Device, DeviceId
from thinghub.device_registry.domain.paging import Page


@dataclass(frozen=True, slots=True)
class Inserted:
    """`came_back` were deleted a moment ago."""

    devices: frozenset[DeviceId]
    came_back: Sequence[DeviceId]


class BatchUnit(Protocol):
    """The part of a transaction that concerns many devices."""

    async def insert_devices(self, devices: Sequence[Device]) -> Inserted:
        """Those whose name and IotId were free. Raises ProductNotFound."""

    async def announce_all(self, announcements: Sequence[Announcement]) -> None: ...

    async def insert_application(
        self, product_key: str, state: State, at_ms: int, entries: Sequence[Entry], refused: Sequence[Refusal]
    ) -> int:
        """The id given to it. Raises ProductNotFound."""

    async def lock_application(self, instance_id: str, apply_id: int) -> tuple[str, State]:
        """Its product and state. Nobody else changes it until the block ends. Raises ApplicationNotFound."""

    async def lock_running(self) -> int | None:
        """The oldest running application that no other process has locked."""

    async def pending(self, apply_id: int, limit: int) -> Sequence[Entry]:
        """Entries that are neither made nor refused, in order."""

    async def settle(self, apply_id: int, made: Sequence[int], refused: Mapping[int, str]) -> None:
        """Entries by number; refused ones with the message."""

    async def set_state(self, apply_id: int, state: State) -> None: ...

    async def count_made(self, apply_id: int) -> int: ...


class ApplicationStore(Protocol):
    async def application(self, instance_id: str, product_key: str, apply_id: int) -> Application:
        """Raises ApplicationNotFound, ApplicationInvalid."""

    async def application_devices(self, instance_id: str, apply_id: int, page: Page) -> tuple[Sequence[Device], int]:
        """Those made so far that still exist, and how many were made. Raises ApplicationNotFound."""

    async def existing_names(self, product_key: str, names: Sequence[str]) -> frozenset[str]: ...

    async def purge_applications(self, before_ms: int) -> None:
        """Forgets applications made before that time, unless they are running."""
