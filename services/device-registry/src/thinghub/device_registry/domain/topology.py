"""Topology: which sub-devices stand behind which gateway (device-mqtt §10).

A sub-device stands behind one gateway at most. A gateway adds it with a proof that is signed with the sub-device's own
secret, so the last proven addition wins: a sub-device that is bound elsewhere moves (not confirmed of the contract).
A message is done whole or not at all; the first fault answers it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from thinghub.device_protocol.bodies import found_body, found_topic
from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.records import Message
from thinghub.device_protocol.sub_devices import SubDeviceProof
from thinghub.device_registry.domain.devices import DeviceId

GATEWAY_NODE: Final = 1
SUCCESS: Final = "success"


class Proven(IntEnum):
    """What auth says of a proof."""

    OK = 1
    UNKNOWN_DEVICE = 2
    BAD_SIGNATURE = 3
    DISABLED = 4
    UNAVAILABLE = 5


class ChangeStatus(IntEnum):
    """`status` of thing/topo/change. The contract's own table swaps the last two; its comment says this."""

    CREATE = 0
    DELETE = 1
    ENABLE = 2
    DISABLE = 8


@dataclass(frozen=True, slots=True)
class Gateway:
    """A device that says something of sub-devices. `held` counts them; epoch and sequence are those of the last message
    of its that was done."""

    device: DeviceId
    instance_id: str
    node_type: int
    held: int
    epoch: int = 0
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class SubDevice:
    """A device that exists; `gateway` is the one it stands behind."""

    device: DeviceId
    instance_id: str
    node_type: int
    gateway: DeviceId | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Of a device whose product exists: an empty `iot_id` when it does not exist itself."""

    instance_id: str
    iot_id: str


@dataclass(frozen=True, slots=True)
class Binding:
    """The gateway that a device stands behind, None for nobody, and since when, epoch milliseconds."""

    gateway: DeviceId | None
    since_ms: int


@dataclass(frozen=True, slots=True)
class TopologyChange:
    """What one message of a gateway asks for: devices to add, with a proof each, or to remove."""

    gateway: DeviceId
    epoch: int
    sequence: int
    proofs: tuple[SubDeviceProof, ...] = ()
    removed: tuple[DeviceId, ...] = ()

    @property
    def devices(self) -> tuple[DeviceId, ...]:
        """Each once."""
        return tuple(dict.fromkeys([*map(proven_device, self.proofs), *self.removed]))


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be told of a change. `status` None: the gateway asked for it, so it is not told; `ends_session`: the
    sub-device's session ends if it began before `at_ms`."""

    gateway: DeviceId
    device: DeviceId
    status: ChangeStatus | None
    ends_session: bool
    at_ms: int
    id: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a device behind a gateway, for whoever listens."""

    gateway: DeviceId
    device: DeviceId
    status: ChangeStatus


Verdict = tuple[Alink, str]
Proofs = Mapping[SubDeviceProof, Proven]

_REFUSED: Mapping[Proven, Callable[[DeviceId], Verdict]] = {
    Proven.UNKNOWN_DEVICE: lambda device: unknown(device),
    Proven.BAD_SIGNATURE: lambda device: (Alink.UNAUTHORIZED, f"the sign of {named(device)} is wrong"),
    Proven.DISABLED: lambda device: (Alink.DEVICE_DISABLED, f"{named(device)} is disabled"),
    Proven.UNAVAILABLE: lambda device: (Alink.SYSTEM_ERROR, "signs cannot be checked now; try again"),
}


def proven_device(proof: SubDeviceProof) -> DeviceId:
    return DeviceId(proof.product_key, proof.device_name)


def named(device: DeviceId) -> str:
    return f"{device.product_key}/{device.device_name}"


def found_message(
    message_id: int, gateway: DeviceId, devices: Sequence[DeviceId], known: Mapping[DeviceId, Identity], at_ms: int
) -> Message:
    """What a gateway found, for whoever listens. Platform origin: no epoch."""
    members = [
        {"iotId": known[one].iot_id, "productKey": one.product_key, "deviceName": one.device_name} for one in devices
    ]
    body = found_body(
        gateway_key=gateway.product_key,
        gateway_name=gateway.device_name,
        gateway_iot_id=known[gateway].iot_id,
        devices=members,
    )
    topic = found_topic(gateway.product_key, gateway.device_name)
    return Message(message_id, gateway.product_key, gateway.device_name, topic, body, received_ms=at_ms, qos=1)


def unknown(device: DeviceId) -> Verdict:
    return Alink.DEVICE_NOT_FOUND, f"the device {named(device)} does not exist"


class Topology:
    """A working copy: what is known of the gateways and devices of a batch, changed message by message."""

    def __init__(
        self, gateways: Mapping[DeviceId, Gateway], subs: Mapping[DeviceId, SubDevice], limit: int, at_ms: int
    ) -> None:
        self._before = subs
        self.gateways = dict(gateways)
        self.subs = dict(subs)
        self._limit = limit
        self._at_ms = at_ms
        self.notices: list[Notice] = []
        self.events: list[Event] = []

    @property
    def changed(self) -> Mapping[DeviceId, Binding]:
        """Of the devices whose gateway is another one than before."""
        return {
            device: Binding(sub.gateway, self._at_ms)
            for device, sub in self.subs.items()
            if sub.gateway != self._before[device].gateway
        }

    def apply(self, change: TopologyChange, proofs: Proofs) -> Verdict:
        """What the message is answered. One that comes again changes nothing and is judged anew."""
        gateway = self.gateways.get(change.gateway)
        if gateway is None:
            return unknown(change.gateway)
        fenced = (change.epoch, change.sequence) <= (gateway.epoch, gateway.sequence)
        verdict = self._judge_add(gateway, change, proofs) if change.proofs else self._judge_remove(change, fenced)
        if fenced or verdict[0] is Alink.SYSTEM_ERROR:
            return verdict
        if verdict[0] is Alink.SUCCESS:
            target = gateway.device if change.proofs else None
            for device in change.devices:
                self.bind(device, target)
        self.gateways[change.gateway] = replace(
            self.gateways[change.gateway], epoch=change.epoch, sequence=change.sequence
        )
        return verdict

    def add(self, change: TopologyChange, proofs: Proofs) -> Verdict:
        """Asked by a caller: not fenced, and the gateway is told."""
        gateway = self.gateways.get(change.gateway)
        if gateway is None:
            return unknown(change.gateway)
        verdict = self._judge_add(gateway, change, proofs)
        if verdict[0] is Alink.SUCCESS:
            for device in change.devices:
                self.bind(device, gateway.device, ChangeStatus.CREATE)
        return verdict

    def bind(self, device: DeviceId, target: DeviceId | None, told: ChangeStatus | None = None) -> None:
        """Puts a device behind `target`, or nobody. `told` is what the gateways concerned are told; the one that lost a
        device to another is told in any case."""
        former = self.subs[device].gateway
        if former == target:
            return
        self.subs[device] = replace(self.subs[device], gateway=target)
        self._count(target, 1)
        self._count(former, -1)
        if former is not None:
            status = ChangeStatus.DELETE if target is not None else told
            self.notices.append(Notice(former, device, status, True, self._at_ms))
            self.events.append(Event(former, device, ChangeStatus.DELETE))
        if target is not None:
            self.events.append(Event(target, device, ChangeStatus.CREATE))
            if told is not None:
                self.notices.append(Notice(target, device, told, False, self._at_ms))

    def _count(self, gateway: DeviceId | None, more: int) -> None:
        if gateway is not None and (known := self.gateways.get(gateway)):
            self.gateways[gateway] = replace(known, held=known.held + more)

    def _judge_add(self, gateway: Gateway, change: TopologyChange, proofs: Proofs) -> Verdict:
        if gateway.device in change.devices:
            return Alink.OWN_SUB_DEVICE, "a gateway is not its own sub-device"
        if gateway.node_type != GATEWAY_NODE:
            return Alink.PARAMETER_ERROR, "the product is not one of gateways: its devices have no sub-devices"
        for proof in change.proofs:
            refusal = self._judge_proof(gateway, proof, proofs[proof])
            if refusal:
                return refusal
        new = sum(self.subs[device].gateway != gateway.device for device in change.devices)
        if new and gateway.held + new > self._limit:
            return Alink.TOO_MANY_SUB_DEVICES, f"a gateway has at most {self._limit} sub-devices"
        return Alink.SUCCESS, SUCCESS

    def _judge_proof(self, gateway: Gateway, proof: SubDeviceProof, proven: Proven) -> Verdict | None:
        device = proven_device(proof)
        if proven is not Proven.OK:
            return _REFUSED[proven](device)
        sub = self.subs.get(device)
        if sub is None or sub.instance_id != gateway.instance_id:
            return unknown(device)
        if sub.node_type == GATEWAY_NODE:
            return Alink.PARAMETER_ERROR, f"{named(device)} is a gateway: it cannot stand behind another one"
        return None

    def _judge_remove(self, change: TopologyChange, fenced: bool) -> Verdict:
        for device in change.devices:
            sub = self.subs.get(device)
            if sub is None:
                return unknown(device)
            if sub.gateway != change.gateway and not fenced:
                return Alink.NO_TOPOLOGY, f"{named(device)} is no sub-device of this gateway"
        return Alink.SUCCESS, SUCCESS


def listed(devices: Sequence[DeviceId]) -> list[dict[str, str]]:
    """As devices read it."""
    return [{"productKey": one.product_key, "deviceName": one.device_name} for one in devices]
