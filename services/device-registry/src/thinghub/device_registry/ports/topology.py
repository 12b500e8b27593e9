"""Topology in the registry's store, and what it asks of auth and the gateways."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from thinghub.device_protocol.sub_devices import SubDeviceProof
from thinghub.device_registry.domain.devices import Device, DeviceId
from thinghub.device_registry.domain.paging import Page
from thinghub.device_registry.domain.topology import Binding, Event, Gateway, Identity, Notice, Proven, SubDevice


class TopologyUnit(Protocol):
    """One transaction over some gateways and devices."""

    @property
    def gateways(self) -> Mapping[DeviceId, Gateway]:
        """Of those that exist; nobody else adds to them until the block ends."""

    @property
    def subs(self) -> Mapping[DeviceId, SubDevice]:
        """Of those that exist."""

    async def bind(self, bindings: Mapping[DeviceId, Binding]) -> None: ...

    async def mark(self, gateways: Sequence[Gateway]) -> None:
        """Notes how far their messages were done."""

    async def leave(self, notices: Sequence[Notice], events: Sequence[Event], at_ms: int) -> None:
        """Both are told after the block ended well, at least once, in order: notices to gateways, events to the bus."""


class BindingSource(Protocol):
    """Raises StoreUnavailable."""

    async def bindings(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Binding]:
        """Of those that stand behind a gateway; soon, because a log-in waits for it."""


class TopologyStore(BindingSource, Protocol):
    """Raises StoreUnavailable."""

    def holding(
        self, gateways: Sequence[DeviceId], subs: Sequence[DeviceId]
    ) -> AbstractAsyncContextManager[TopologyUnit]: ...

    async def held_by(self, gateways: Sequence[DeviceId]) -> Mapping[DeviceId, Sequence[DeviceId]]:
        """In the order of their names. Gateways that do not exist are left out."""

    async def identities(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Identity]:
        """Of those whose product exists."""

    async def page(self, gateway: DeviceId, page: Page) -> tuple[Sequence[Device], int]:
        """Its sub-devices in the order of their names, and how many there are."""


class NoticeStore(Protocol):
    """Raises StoreUnavailable."""

    def taking(self, limit: int) -> AbstractAsyncContextManager[Sequence[Notice]]:
        """The oldest, removed when the block ends well. Empty when there are none, or another process has them."""


class BindingCache(Protocol):
    """Copies of bindings that outlive an absence of the store."""

    async def get(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Binding]:
        """What it has and can say at once; never raises for being away."""

    async def put(self, bindings: Mapping[DeviceId, Binding]) -> None:
        """One never replaces a later one. Raises StoreUnavailable."""


class Proofs(Protocol):
    """auth."""

    async def check(self, proofs: Sequence[SubDeviceProof]) -> Sequence[Proven]:
        """One a proof, in order. Raises Unavailable."""


class Sessions(Protocol):
    """The connection gateways."""

    async def end(self, devices: Mapping[DeviceId, int], reason: str) -> None:
        """Ends their sessions that began before that time, epoch milliseconds. Raises Unavailable."""
