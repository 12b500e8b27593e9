"""A batch of changes on a working copy: who stands behind whom afterwards, what is told, what is counted."""

from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.signing import SignMethod
from thinghub.device_protocol.sub_devices import SubDeviceProof
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.topology import (
    Binding,
    ChangeStatus,
    Gateway,
    Proven,
    SubDevice,
    Topology,
    TopologyChange,
)

NEAR, FAR = DeviceId("gw", "near"), DeviceId("gw", "far")
SUBS = [DeviceId("sub", f"s{number}") for number in range(3)]


def proof(device: DeviceId) -> SubDeviceProof:
    return SubDeviceProof(device.product_key, device.device_name, "c", SignMethod.HMAC_SHA256, "", True, "00")


def topology(limit: int = 2, instance: str = "") -> Topology:
    gateways = {one: Gateway(one, "", 1, 0) for one in (NEAR, FAR)}
    return Topology(gateways, {one: SubDevice(one, instance, 0) for one in SUBS}, limit, 99)


def add(copy: Topology, gateway: DeviceId, *devices: DeviceId, sequence: int = 1, proven: Proven = Proven.OK) -> Alink:
    change = TopologyChange(gateway, 5, sequence, proofs=tuple(map(proof, devices)))
    return copy.apply(change, dict.fromkeys(change.proofs, proven))[0]


def remove(copy: Topology, gateway: DeviceId, *devices: DeviceId, sequence: int = 2) -> Alink:
    return copy.apply(TopologyChange(gateway, 5, sequence, removed=devices), {})[0]


def test_what_was_added_and_removed_again_is_no_change_but_was_announced() -> None:
    copy = topology()
    assert (add(copy, NEAR, SUBS[0]), remove(copy, NEAR, SUBS[0])) == (Alink.SUCCESS, Alink.SUCCESS)
    assert copy.changed == {}
    assert [one.status for one in copy.events] == [ChangeStatus.CREATE, ChangeStatus.DELETE]
    assert [(one.status, one.ends_session) for one in copy.notices] == [(None, True)]


def test_a_device_that_two_gateways_add_stands_behind_the_last() -> None:
    copy = topology()
    add(copy, NEAR, SUBS[0])
    add(copy, FAR, SUBS[0])
    assert copy.changed == {SUBS[0]: Binding(FAR, 99)}
    assert (copy.gateways[NEAR].held, copy.gateways[FAR].held) == (0, 1)
    assert [(one.gateway, one.status, one.at_ms) for one in copy.notices] == [(NEAR, ChangeStatus.DELETE, 99)]


def test_the_limit_counts_each_device_once_and_room_that_was_made() -> None:
    copy = topology(limit=2)
    assert add(copy, NEAR, SUBS[0], SUBS[0], SUBS[1]) is Alink.SUCCESS
    assert add(copy, NEAR, SUBS[2], sequence=2) is Alink.TOO_MANY_SUB_DEVICES
    assert remove(copy, NEAR, SUBS[0], sequence=3) is Alink.SUCCESS
    assert add(copy, NEAR, SUBS[2], sequence=4) is Alink.SUCCESS
    assert copy.gateways[NEAR].held == 2


def test_a_refused_message_is_fenced_but_one_that_could_not_be_judged_is_not() -> None:
    copy = topology()
    assert add(copy, NEAR, SUBS[0], sequence=3, proven=Proven.UNAVAILABLE) is Alink.SYSTEM_ERROR
    assert copy.gateways[NEAR].sequence == 0
    assert add(copy, NEAR, SUBS[0], sequence=3, proven=Proven.BAD_SIGNATURE) is Alink.UNAUTHORIZED
    assert copy.gateways[NEAR].sequence == 3
    assert add(copy, NEAR, SUBS[0], sequence=2) is Alink.SUCCESS
    assert copy.changed == {}, "it came before"


def test_a_device_of_another_instance_does_not_exist() -> None:
    assert add(topology(instance="other"), NEAR, SUBS[0]) is Alink.DEVICE_NOT_FOUND


def test_a_device_is_not_behind_itself() -> None:
    assert add(topology(), NEAR, NEAR) is Alink.OWN_SUB_DEVICE
