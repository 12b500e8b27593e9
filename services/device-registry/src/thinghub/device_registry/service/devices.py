"""Devices: registered, read, disabled, enabled, deleted.

A change that concerns the device's right to connect goes: row locked, auth, gateways, row written, committed. The lock
keeps two changes of one device in order in all three places. Each step may be repeated, so a call that failed half way
is made good by calling again:

    registering     auth failed: nothing is registered
    disable, enable gateways not told: the change is stored in auth and here, the caller sees NotTold
    delete          gateways not told: auth has forgotten the device, the row stays until the repeat
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from thinghub.common.errors import Unavailable
from thinghub.device_registry.domain.announcements import DeviceAnnounced, Lifecycle
from thinghub.device_registry.domain.applications import MAX_SN
from thinghub.device_registry.domain.devices import (
    MAX_NICKNAME,
    Device,
    DeviceCounts,
    DeviceId,
    DeviceRef,
    Presence,
    page_token,
    read_page_token,
)
from thinghub.device_registry.domain.names import (
    check_device_name,
    check_iot_id,
    check_text,
    generate_device_name,
    generate_iot_id,
)
from thinghub.device_registry.domain.paging import page_of
from thinghub.device_registry.domain.topology import ChangeStatus
from thinghub.device_registry.errors import DeviceNotFound, NotTold, ProductNotFound, RequestInvalid
from thinghub.device_registry.ports.others import Connections, Credentials
from thinghub.device_registry.ports.store import Store, Unit

BAR_SECONDS = 60  # covers a connect that was authenticated before the change and accepted after it (invariants §1)
MAX_REFS = 500


@dataclass(frozen=True, slots=True)
class Registration:
    """Empty members are generated."""

    instance_id: str
    product_key: str
    device_name: str = ""
    nickname: str = ""
    iot_id: str = ""
    secret: str = field(default="", repr=False)
    sn: str = ""


@dataclass(frozen=True, slots=True)
class DevicePage:
    """`next_token` is empty on the last page."""

    devices: Sequence[Device]
    total: int
    next_token: str


class Devices:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(
        self,
        store: Store,
        credentials: Credentials,
        connections: Connections,
        clock_ms: Callable[[], int],
        log: logging.Logger,
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._connections = connections
        self._clock_ms = clock_ms
        self._log = log

    async def register(self, wanted: Registration) -> tuple[Device, str]:
        """The device and its secret. Raises ProductNotFound, DeviceExists, DeviceNameInvalid, IotIdInvalid."""
        _check(wanted)
        counted = await self._store.product(wanted.instance_id, wanted.product_key)
        if counted is None:
            raise ProductNotFound("the product does not exist", product_key=wanted.product_key)
        device = self._new_device(wanted)
        async with self._store.unit() as unit:
            # The row comes first: of two callers with one name only the one that has it reaches auth.
            came_back = await unit.insert_device(device)
            secret = await self._credentials.put_device(device.id, device.iot_id, wanted.secret)
            if came_back:
                await self._unbar(device.id)
            await self._announce(unit, device, Lifecycle.CREATE)
        return device, secret

    def _new_device(self, wanted: Registration) -> Device:
        now = self._clock_ms()
        return Device(
            DeviceId(wanted.product_key, wanted.device_name or generate_device_name()),
            wanted.iot_id or generate_iot_id(),
            wanted.nickname,
            created_ms=now,
            modified_ms=now,
            instance_id=wanted.instance_id,
            sn=wanted.sn,
        )

    async def _unbar(self, device: DeviceId) -> None:
        try:
            await self._connections.unbar(device)
        except Unavailable:
            self._log.warning("a device registered anew stays barred for up to %d s: no gateway answered", BAR_SECONDS)

    async def get(self, instance_id: str, refs: Sequence[DeviceRef]) -> Sequence[Device | None]:
        """One a reference, in order."""
        if len(refs) > MAX_REFS:
            raise RequestInvalid(f"a batch has at most {MAX_REFS} devices")
        for ref in refs:
            _check_ref(ref)
        return await self._store.devices(instance_id, refs)

    async def secrets(self, devices: Sequence[Device]) -> Sequence[str]:
        return await self._credentials.device_secrets([device.id for device in devices]) if devices else []

    async def page(self, instance_id: str, product_key: str, number: int, size: int, token: str) -> DevicePage:
        """By `token` when there is one, else by number; in the order of device names."""
        check_text(instance_id + product_key, "ProductKey")
        counted = await self._store.product(instance_id, product_key)
        if counted is None:
            raise ProductNotFound("the product does not exist", product_key=product_key)
        page = page_of(0 if token else number, size)
        if token:
            devices = await self._store.devices_after(product_key, read_page_token(token), page.size)
        else:
            devices = await self._store.devices_page(product_key, page)
        more = len(devices) == page.size
        return DevicePage(devices, counted.devices, page_token(devices[-1].id) if more else "")

    async def present(
        self, instance_id: str, product_key: str, presence: Presence, number: int, size: int
    ) -> DevicePage:
        """Those of this status, by page number."""
        await self._check_product(instance_id, product_key)
        devices, total = await self._store.devices_present(product_key, presence, page_of(number, size))
        return DevicePage(devices, total, "")

    async def count(self, instance_id: str, product_key: str) -> DeviceCounts:
        """Of a product, or with an empty key of the instance."""
        if product_key:
            await self._check_product(instance_id, product_key)
        return await self._store.count_devices(instance_id, product_key)

    async def _check_product(self, instance_id: str, product_key: str) -> None:
        check_text(instance_id + product_key, "ProductKey")
        if await self._store.product(instance_id, product_key) is None:
            raise ProductNotFound("the product does not exist", product_key=product_key)

    async def set_enabled(self, instance_id: str, ref: DeviceRef, enabled: bool) -> None:
        """Raises DeviceNotFound, NotTold."""
        _check_ref(ref)
        async with self._store.unit() as unit:
            device = await unit.lock_device(instance_id, ref)
            await self._credentials.set_enabled(device.id, enabled)
            untold = await self._tell(device.id, enabled)
            if device.disabled is enabled:
                await unit.set_disabled(device.id, not enabled, self._clock_ms())
                status = ChangeStatus.ENABLE if enabled else ChangeStatus.DISABLE
                await unit.leave_notice(device.id, status, self._clock_ms())
                await self._announce(unit, device, Lifecycle.ENABLE if enabled else Lifecycle.DISABLE)
        if untold:
            raise NotTold("the change is stored, but no gateway could be told: repeat the call") from untold

    async def _tell(self, device: DeviceId, enabled: bool) -> Unavailable | None:
        try:
            if enabled:
                await self._connections.unbar(device)
            else:
                await self._connections.bar(device, BAR_SECONDS, "disabled")
        except Unavailable as error:
            return error
        return None

    async def delete(self, instance_id: str, ref: DeviceRef) -> None:
        """Raises DeviceNotFound, Unavailable."""
        _check_ref(ref)
        async with self._store.unit() as unit:
            device = await unit.lock_device(instance_id, ref)
            await self._credentials.delete_device(device.id)
            await self._connections.bar(device.id, BAR_SECONDS, "deleted")
            await unit.leave_notice(device.id, ChangeStatus.DELETE, self._clock_ms())
            await unit.delete_device(device.id, self._clock_ms())
            await self._announce(unit, device, Lifecycle.DELETE)

    async def _announce(self, unit: Unit, device: Device, action: Lifecycle) -> None:
        await unit.announce(DeviceAnnounced(device.id, action, device.iot_id, self._clock_ms()))


def _check(wanted: Registration) -> None:
    check_text(wanted.instance_id + wanted.product_key, "ProductKey")
    check_text(wanted.nickname, "Nickname", MAX_NICKNAME)
    check_text(wanted.sn, "Sn", MAX_SN)
    if wanted.device_name:
        check_device_name(wanted.device_name)
    if wanted.iot_id:
        check_iot_id(wanted.iot_id)


def _check_ref(ref: DeviceRef) -> None:
    """A reference that no device can have finds none; it is not worth a word of its own."""
    names = ref.iot_id or (ref.device.product_key + ref.device.device_name if ref.device else "")
    if not names or len(names) > 256 or "\0" in names:
        raise DeviceNotFound("the device does not exist")
