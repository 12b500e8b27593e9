"""Sub-devices as callers and other services see them: who stands behind which gateway, added, removed, asked for."""

from collections.abc import Callable, Mapping, Sequence

from thinghub.common.errors import Fault, Unavailable
from thinghub.device_protocol import alink
from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.sub_devices import MalformedSubDevice, read_proofs
from thinghub.device_registry.domain.devices import Device, DeviceId, DeviceRef
from thinghub.device_registry.domain.paging import page_of
from thinghub.device_registry.domain.topology import (
    GATEWAY_NODE,
    ChangeStatus,
    Topology,
    TopologyChange,
    Verdict,
    listed,
)
from thinghub.device_registry.errors import (
    DeviceNotFound,
    RequestInvalid,
    TopologyLimit,
    TopologyNotFound,
    TopologyRefused,
)
from thinghub.device_registry.ports.store import Store
from thinghub.device_registry.ports.tags import Replies, Reply
from thinghub.device_registry.ports.topology import Proofs, TopologyStore
from thinghub.device_registry.service.bindings import Bindings

MAX_DEVICES = 2000
MAX_NAMED = 100
_NOTIFY = "thing.topo.add.notify"
_FAULTS: Mapping[Alink, type[Fault]] = {
    Alink.DEVICE_NOT_FOUND: DeviceNotFound,
    Alink.TOO_MANY_SUB_DEVICES: TopologyLimit,
    Alink.SYSTEM_ERROR: Unavailable,
}


class SubDevices:
    """`clock_ms` gives epoch milliseconds; `limit` is how many sub-devices a gateway has at most."""

    def __init__(
        self,
        store: Store,
        topology: TopologyStore,
        bindings: Bindings,
        proofs: Proofs,
        replies: Replies,
        limit: int,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._bindings = bindings
        self._proofs = proofs
        self._limit = limit
        self._topology = topology
        self._replies = replies
        self._clock_ms = clock_ms

    async def check(self, gateway: DeviceId, devices: Sequence[DeviceId]) -> Sequence[bool]:
        """Whether each is a sub-device of that gateway, in order."""
        if len(devices) > MAX_DEVICES:
            raise RequestInvalid(f"a batch has at most {MAX_DEVICES} devices")
        found = await self._bindings.of(devices)
        return [device in found and found[device].gateway == gateway for device in devices]

    async def page(self, instance_id: str, gateway: DeviceRef, number: int, size: int) -> tuple[Sequence[Device], int]:
        """In the order of names, and how many there are. A device that is no gateway has none. Raises
        DeviceNotFound."""
        page = page_of(number, size)
        return await self._topology.page((await self._device(instance_id, gateway)).id, page)

    async def gateway_of(self, instance_id: str, ref: DeviceRef) -> Device:
        """Raises DeviceNotFound, TopologyNotFound."""
        device = await self._device(instance_id, ref)
        binding = (await self._bindings.of([device.id])).get(device.id)
        if binding is None or binding.gateway is None:
            raise TopologyNotFound("the device stands behind no gateway")
        return await self._device(instance_id, DeviceRef(device=binding.gateway))

    async def add(self, instance_id: str, gateway: DeviceRef, entries: Sequence[Mapping[str, object]]) -> None:
        """Each as a gateway writes it in thing/topo/add. All or none. Raises DeviceNotFound, RequestInvalid,
        TopologyLimit, TopologyRefused, Unavailable."""
        try:
            proofs = read_proofs(list(entries), MAX_NAMED)
        except MalformedSubDevice as error:
            raise RequestInvalid(str(error)) from error
        asked = await self._device(instance_id, gateway)
        proven = dict(zip(proofs, await self._proofs.check(proofs), strict=True))
        change, now = TopologyChange(asked.id, 0, 0, proofs=tuple(proofs)), self._clock_ms()
        async with self._topology.holding([asked.id], sorted(change.devices)) as unit:
            topology = Topology(unit.gateways, unit.subs, self._limit, now)
            _check(topology.add(change, proven))
            await unit.bind(topology.changed)
            await unit.leave(topology.notices, topology.events, now)
        await self._bindings.remember(topology.changed)

    async def remove(self, instance_id: str, refs: Sequence[DeviceRef]) -> None:
        """All or none. Raises DeviceNotFound, TopologyNotFound."""
        if not 1 <= len(refs) <= MAX_NAMED:
            raise RequestInvalid(f"a call names 1 to {MAX_NAMED} devices")
        devices = [device.id for device in await self._devices(instance_id, refs)]
        now = self._clock_ms()
        async with self._topology.holding([], sorted(set(devices))) as unit:
            topology = Topology(unit.gateways, unit.subs, 0, now)
            for device in dict.fromkeys(devices):
                sub = topology.subs.get(device)
                if sub is None or sub.gateway is None:
                    raise TopologyNotFound("the device stands behind no gateway")
                topology.bind(device, None, ChangeStatus.DELETE)
            await unit.bind(topology.changed)
            await unit.leave(topology.notices, topology.events, now)
        await self._bindings.remember(topology.changed)

    async def notify_add(
        self, instance_id: str, gateway: DeviceRef, devices: Sequence[DeviceId], message_id: int
    ) -> None:
        """Asks the gateway to add them; nothing is kept for one that is away. Raises DeviceNotFound, TopologyRefused,
        Unavailable."""
        if not 1 <= len(devices) <= MAX_NAMED:
            raise RequestInvalid(f"a call names 1 to {MAX_NAMED} devices")
        asked = await self._device(instance_id, gateway)
        subs = await self._devices(instance_id, [DeviceRef(device=device) for device in devices])
        if asked.node_type != GATEWAY_NODE or any(sub.node_type == GATEWAY_NODE for sub in subs):
            raise TopologyRefused("a gateway has sub-devices that are no gateways themselves")
        topic = f"/sys/{asked.id.product_key}/{asked.id.device_name}/thing/topo/add/notify"
        payload = alink.command(str(message_id), _NOTIFY, listed([sub.id for sub in subs]))
        await self._replies.send([Reply(asked.id, topic, payload, message_id, "", 0)])

    async def _device(self, instance_id: str, ref: DeviceRef) -> Device:
        (device,) = await self._devices(instance_id, [ref])
        return device

    async def _devices(self, instance_id: str, refs: Sequence[DeviceRef]) -> list[Device]:
        if any("\0" in (ref.iot_id or _name(ref)) for ref in refs):
            raise DeviceNotFound("the device does not exist")
        found = [device for device in await self._store.devices(instance_id, refs) if device]
        if len(found) < len(refs):
            raise DeviceNotFound("the device does not exist")
        return found


def _check(verdict: Verdict) -> None:
    code, message = verdict
    if code is not Alink.SUCCESS:
        raise _FAULTS.get(code, TopologyRefused)(message)


def _name(ref: DeviceRef) -> str:
    return ref.device.product_key + ref.device.device_name if ref.device else ""
