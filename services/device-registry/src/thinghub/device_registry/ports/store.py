"""The registry's store. Every call has a deadline of its own and raises StoreUnavailable."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from thinghub.device_registry.domain.announcements import Announcement, OutboxEntry
from thinghub.device_registry.domain.devices import Device, DeviceCounts, DeviceId, DeviceRef, Presence
from thinghub.device_registry.domain.paging import Page
from thinghub.device_registry.domain.policies import Policy
from thinghub.device_registry.domain.products import Instance, Limits, Product
from thinghub.device_registry.domain.status import StatusChange
from thinghub.device_registry.domain.topic_classes import TopicClass
from thinghub.device_registry.domain.topology import ChangeStatus
from thinghub.device_registry.ports.applications import BatchUnit


@dataclass(frozen=True, slots=True)
class CountedProduct:
    product: Product
    devices: int


class Unit(BatchUnit, Protocol):
    """One transaction: stored when its block ends, forgotten when the block raises."""

    async def insert_product(self, product: Product, classes: Sequence[TopicClass]) -> None:
        """Raises ProductExists, ProductNameExists, InstanceNotFound."""

    async def count_products(self, instance_id: str) -> int: ...

    async def lock_product(self, instance_id: str, product_key: str) -> Product:
        """Nobody else changes the product until the block ends. Raises ProductNotFound."""

    async def delete_product(self, product_key: str) -> None:
        """Raises ProductHasDevices."""

    async def set_limits(self, product_key: str, limits: Limits) -> None: ...

    async def count_topic_classes(self, product_key: str) -> int: ...

    async def insert_topic_class(self, topic_class: TopicClass) -> int:
        """Its id: the one it has, or one that is made. Raises TopicClassExists."""

    async def drop_topic_class(self, product_key: str, short_name: str) -> None:
        """Nothing happens when the product does not have it."""

    async def next_policy(self, product_key: str) -> int:
        """Raises the version of the product's policy and returns it."""

    async def insert_device(self, device: Device) -> bool:
        """True when a device of that name was deleted a moment ago. Raises DeviceExists, ProductNotFound."""

    async def lock_device(self, instance_id: str, ref: DeviceRef) -> Device:
        """Nobody else changes the device until the block ends. Raises DeviceNotFound."""

    async def set_disabled(self, device: DeviceId, disabled: bool, at_ms: int) -> None: ...

    async def delete_device(self, device: DeviceId, at_ms: int) -> None: ...

    async def leave_notice(self, device: DeviceId, status: ChangeStatus, at_ms: int) -> None:
        """For the gateway that the device stands behind, if it does, and for whoever listens."""

    async def announce(self, announcement: Announcement) -> None:
        """Told at least once after the block ends well, in the order of the device's or product's changes."""


class Store(Protocol):
    def unit(self) -> AbstractAsyncContextManager[Unit]: ...

    async def create_instance(self, instance: Instance) -> None:
        """Raises InstanceExists."""

    async def instances(self, after: str, limit: int) -> Sequence[Instance]: ...

    async def product(self, instance_id: str, product_key: str) -> CountedProduct | None: ...

    async def products(self, instance_id: str, commodity_code: str, page: Page) -> tuple[Sequence[CountedProduct], int]:
        """Newest first, and how many there are."""

    async def topic_classes(self, product_key: str) -> Sequence[TopicClass]: ...

    async def devices(self, instance_id: str, refs: Sequence[DeviceRef]) -> Sequence[Device | None]:
        """One a reference, in order."""

    async def devices_page(self, product_key: str, page: Page) -> Sequence[Device]: ...
    async def devices_after(self, product_key: str, device_name: str, limit: int) -> Sequence[Device]: ...

    async def devices_present(self, product_key: str, presence: Presence, page: Page) -> tuple[Sequence[Device], int]:
        """Those of this status in the order of names, and how many there are."""

    async def count_devices(self, instance_id: str, product_key: str) -> DeviceCounts:
        """Of a product, or with an empty key of the instance."""


class Statuses(Protocol):
    async def apply(self, changes: Sequence[StatusChange]) -> int:
        """One round of changes; how many took effect."""


class Policies(Protocol):
    async def find(self, product_keys: Sequence[str]) -> Mapping[str, Policy]: ...


class PolicyCache(Protocol):
    """Copies of policies that outlive an absence of the store."""

    async def get(self, product_keys: Sequence[str]) -> Mapping[str, Policy]:
        """What it has and can say in a second; never raises for being away."""

    async def put(self, policies: Sequence[Policy]) -> None:
        """A version never replaces a newer one. Raises StoreUnavailable."""


class OutboxStore(Protocol):
    def taking(self, limit: int) -> AbstractAsyncContextManager[Sequence[OutboxEntry]]:
        """The oldest entries, removed when the block ends well. Empty when there are none, or while another process has
        them."""

    async def purge(self, before_ms: int) -> None:
        """Forgets what was kept of devices deleted before that time."""
