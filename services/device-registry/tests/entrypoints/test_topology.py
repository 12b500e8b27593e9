"""Topology through the running service: from gateways over the bus, from callers and other services over gRPC."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.gateway_calls import GatewayCalls
from tests.support.identity import Identity
from tests.support.registry_service import Registry, StartRegistry, ref
from tests.support.servers import PostgresServer, RedisServer
from thinghub.common.bus.port import Bus, BusRecord
from thinghub.common.errors import RemoteFault
from thinghub.common.rpc import channel
from thinghub.device_protocol.bus_topics import DEVICE_LIFECYCLE, DEVICE_TOPOLOGY
from thinghub.device_protocol.records import Message, decode_record, encode_record
from thinghub.device_protocol.signing import SignMethod, sign
from thinghub.device_protocol.slots import device_partition
from thinghubpb.device.v1 import device_pb2
from thinghubpb.registry.v1 import topology_pb2 as pb
from thinghubpb.registry.v1.topology_pb2_grpc import TopologyServiceStub

if TYPE_CHECKING:
    from thinghubpb.registry.v1.topology_pb2_grpc import TopologyServiceAsyncStub

IDS = count(1)


def proof(sub: Identity, secret: str = "") -> dict[str, object]:
    content = f"clientIdc1deviceName{sub.device_name}productKey{sub.product_key}timestamp17"
    made = sign(SignMethod.HMAC_SHA256, secret or sub.device_secret, content.encode())
    return {**name(sub), "clientId": "c1", "timestamp": "17", "signMethod": "hmacSha256", "sign": made}


def name(sub: Identity) -> dict[str, object]:
    return {"productKey": sub.product_key, "deviceName": sub.device_name}


def message(
    gateway: Identity, what: str, params: object, sequence: int, *, epoch: int = 7, **members: object
) -> Message:
    payload = json.dumps({"id": f"id-{sequence}", "version": "1.0", "params": params, **members}).encode()
    topic = f"/sys/{gateway.product_key}/{gateway.device_name}/thing/{what}"
    return Message(next(IDS), gateway.product_key, gateway.device_name, topic, payload, epoch, sequence, handle=33)


class Topology:
    """Two gateways and three devices, seen from all sides."""

    def __init__(self, registry: Registry, bus: Bus, calls: GatewayCalls) -> None:
        self.registry, self.bus, self.calls = registry, bus, calls
        self.stub: TopologyServiceAsyncStub = TopologyServiceStub(channel(registry.settings.rpc_listen))

    async def prepare(self) -> "Topology":
        gateways = (await self.registry.product(node_type=1)).product_key
        self.sensors = (await self.registry.product()).product_key
        self.gateway, self.other = [await self.registry.register(gateways, one) for one in ("gateway1", "gateway2")]
        self.subs = [await self.registry.register(self.sensors, f"sensor{number}") for number in range(3)]
        return self

    async def send(self, *messages: Message) -> None:
        partitions = await self.bus.partitions(DEVICE_TOPOLOGY)
        partition = device_partition(messages[0].product_key, messages[0].device_name, partitions)
        await self.bus.publish(DEVICE_TOPOLOGY, partition, encode_record("gw-1", messages))

    async def downlinks(self, wanted: int, ending: str) -> list[dict[str, Any]]:
        async with asyncio.timeout(20):
            while len(found := [one for one in self.calls.downlinks if one.topic.endswith(ending)]) < wanted:
                await asyncio.sleep(0.02)
        return [json.loads(one.payload) for one in found]

    async def replies(self, wanted: int) -> list[dict[str, Any]]:
        return await self.downlinks(wanted, "_reply")

    async def ask(self, gateway: Identity, what: str, params: object, sequence: int) -> dict[str, Any]:
        before = len([one for one in self.calls.downlinks if one.topic.endswith("_reply")])
        await self.send(message(gateway, what, params, sequence))
        return (await self.replies(before + 1))[-1]

    @asynccontextmanager
    async def heard(self, ending: str) -> AsyncIterator[Callable[[int], Awaitable[list[dict[str, Any]]]]]:
        """Bodies of these messages of `device.lifecycle`, from now on."""
        bodies: list[dict[str, Any]] = []

        async def hear(records: Sequence[BusRecord]) -> None:
            messages = [one for record in records for one in decode_record(record.value).messages]
            bodies.extend(json.loads(one.payload) for one in messages if one.topic.endswith(ending))

        async def wait(wanted: int) -> list[dict[str, Any]]:
            async with asyncio.timeout(20):
                while len(bodies) < wanted:
                    await asyncio.sleep(0.02)
            return bodies

        hearing = asyncio.create_task(self.bus.tail([DEVICE_LIFECYCLE], hear))
        await asyncio.sleep(0.5)
        yield wait
        hearing.cancel()

    async def held(self, gateway: Identity, subs: Sequence[Identity] = ()) -> list[bool]:
        devices = [device(one) for one in subs or self.subs]
        request = pb.CheckSubDevicesRequest(gateway=device(gateway), devices=devices)
        return list((await self.stub.CheckSubDevices(request)).held)

    async def listed(self, gateway: Identity) -> list[str]:
        answer = await self.stub.ListSubDevices(pb.ListSubDevicesRequest(gateway=ref(gateway)))
        assert answer.total == len(answer.devices)
        return [one.device.device_name for one in answer.devices]

    @property
    def ended(self) -> list[str]:
        return [kicked for kicked, _, reason in self.calls.kicks if reason == "topology"]


def device(identity: Identity) -> device_pb2.DeviceId:
    return device_pb2.DeviceId(product_key=identity.product_key, device_name=identity.device_name)


@pytest.fixture
async def topology(registry: Registry, bus: Bus, gateway: GatewayCalls) -> Topology:
    return await Topology(registry, bus, gateway).prepare()


async def test_a_gateway_adds_reads_and_deletes_and_is_answered_where_it_asked(topology: Topology) -> None:
    gateway, (first, second, _) = topology.gateway, topology.subs
    await topology.send(
        message(gateway, "topo/add", [proof(first), proof(second)], 1, method="thing.topo.add"),
        message(gateway, "topo/get", {}, 2),
        message(gateway, "topo/delete", [name(first)], 3),
        message(gateway, "topo/get", {}, 4, sys={"ack": 0}),
        message(gateway, "topo/add/notify_reply", {}, 5),
    )
    added, got, deleted = await topology.replies(3)
    assert (added["id"], added["code"], added["data"]) == ("id-1", 200, [name(first), name(second)])
    assert (got["method"], got["code"], got["data"]) == ("thing.topo.get", 200, [name(second)])
    assert (deleted["code"], deleted["message"], deleted["data"]) == (200, "success", {})
    one = topology.calls.downlinks[0]
    assert (one.topic[-15:], one.qos, one.origin, one.handle) == ("/topo/add_reply", 1, "gw-1", 33)
    assert await topology.held(gateway) == [False, True, False]
    assert await topology.held(topology.other) == [False, False, False]
    assert await topology.listed(gateway) == ["sensor1"]
    assert len(await topology.replies(3)) == 3, "no reply where none was wanted, or to a reply"


@pytest.mark.parametrize(
    "spelling",
    [
        {"signMethod": "hmacSha256"},
        {"signMethod": None, "signmethod": "hmacsha256"},
        {"signMethod": "HMACSHA256", "timestamp": 17},
    ],
)
async def test_every_spelling_of_real_gateways_is_accepted(topology: Topology, spelling: dict[str, object]) -> None:
    answer = await topology.ask(topology.gateway, "topo/add", [proof(topology.subs[0]) | spelling], 1)
    assert answer["code"] == 200


async def test_what_is_wrong_is_answered_with_its_code_and_changes_nothing(topology: Topology) -> None:
    gateway, (first, second, _) = topology.gateway, topology.subs
    stranger = Identity(topology.sensors, "nobody1", "secret")
    disabled = await topology.registry.register(topology.sensors, "disabled1")
    await topology.registry.enable(disabled, False)
    cases: list[tuple[str, object, int]] = [
        ("topo/add", [proof(first), proof(second, secret="wrong")], 401),
        ("topo/add", [proof(first), proof(stranger)], 6100),
        ("topo/add", [proof(disabled)], 6204),
        ("topo/add", [proof(gateway)], 6402),
        ("topo/add", [proof(topology.other)], 460),
        ("topo/add", [], 460),
        ("topo/add", [{"productKey": "a"}], 460),
        ("topo/add", "no list", 460),
        ("topo/add", [proof(first) | {"signMethod": "rot13"}], 460),
        ("topo/delete", [name(first)], 6401),
        ("topo/delete", [name(stranger)], 6100),
        ("topo/delete", {"a": 1}, 460),
        ("list/found", [1], 460),
    ]
    for sequence, (what, params, code) in enumerate(cases, 1):
        answer = await topology.ask(gateway, what, params, sequence)
        assert (answer["code"], answer["id"]) == (code, f"id-{sequence}"), (what, params, answer)
        assert answer["message"]
        assert answer["data"] == {}
    no_gateway = await topology.ask(first, "topo/add", [proof(second)], 99)
    assert no_gateway["code"] == 460
    await topology.send(
        Message(5, gateway.product_key, gateway.device_name, message(gateway, "topo/add", 0, 0).topic, b"?")
    )
    assert (await topology.replies(len(cases) + 2))[-1]["code"] == 460
    assert await topology.held(gateway) == [False, False, False]


async def test_the_last_proven_addition_moves_a_device_and_ends_its_session(topology: Topology) -> None:
    first, second = topology.subs[:2]
    await topology.ask(topology.gateway, "topo/add", [proof(first), proof(second)], 1)
    assert (await topology.ask(topology.other, "topo/add", [proof(first)], 1))["code"] == 200
    assert await topology.held(topology.other) == [True, False, False]
    assert await topology.held(topology.gateway) == [False, True, False]
    assert topology.ended == ["sensor0"], "before the reply went out"
    (change,) = await topology.downlinks(1, "/thing/topo/change")
    assert change["params"] == {"status": 1, "subList": [name(first)]}
    assert change["method"] == "thing.topo.change"
    assert change["id"].isdigit()


async def test_replay_and_latecomers_change_nothing(topology: Topology) -> None:
    gateway, first = topology.gateway, topology.subs[0]
    add, delete = message(gateway, "topo/add", [proof(first)], 1), message(gateway, "topo/delete", [name(first)], 2)
    await topology.send(add, delete)
    await topology.send(add, message(gateway, "topo/add", [proof(first)], 99, epoch=6))
    assert [one["code"] for one in await topology.replies(4)] == [200] * 4
    assert await topology.held(gateway) == [False, False, False]
    await topology.ask(topology.other, "topo/add", [proof(first)], 1)
    await topology.send(delete)
    await topology.replies(6)
    assert await topology.held(topology.other) == [True, False, False]
    assert topology.ended == ["sensor0"]


async def test_a_gateway_has_so_many_sub_devices_and_no_more(
    start_registry: StartRegistry, bus: Bus, gateway: GatewayCalls
) -> None:
    topology = await Topology(await start_registry(sub_devices_per_gateway=2), bus, gateway).prepare()
    first, second, third = topology.subs
    assert (await topology.ask(topology.gateway, "topo/add", [proof(one) for one in topology.subs], 1))["code"] == 6400
    assert (await topology.ask(topology.gateway, "topo/add", [proof(first), proof(second)], 2))["code"] == 200
    assert (await topology.ask(topology.gateway, "topo/add", [proof(third)], 3))["code"] == 6400
    assert (await topology.ask(topology.gateway, "topo/add", [proof(first)], 4))["code"] == 200, "it is there already"


async def test_found_devices_are_answered_and_passed_on(topology: Topology) -> None:
    stranger = Identity(topology.sensors, "stranger1", "")
    async with topology.heard("thing/list/found") as heard:
        found = [name(topology.subs[0]), name(stranger)]
        answer = await topology.ask(topology.gateway, "list/found", found, 1)
        assert (answer["code"], answer["data"], answer["method"]) == (200, {}, "thing.list.found")
        unknown = await topology.ask(topology.gateway, "list/found", [{"productKey": "a1", "deviceName": "b1"}], 2)
        assert (unknown["code"], unknown["data"]) == (6250, {})
        (body,) = await heard(1)
    assert (body["gwProductKey"], body["gwDeviceName"]) == (topology.gateway.product_key, "gateway1")
    assert body["gwIotId"]
    first, second = body["devices"]
    assert (first["deviceName"], bool(first["iotId"])) == ("sensor0", True)
    assert (second["deviceName"], second["iotId"]) == ("stranger1", "")


async def test_what_becomes_of_sub_devices_is_announced(topology: Topology) -> None:
    first, second, _ = topology.subs
    async with topology.heard("thing/topo/lifecycle") as heard:
        await topology.ask(topology.gateway, "topo/add", [proof(first), proof(second)], 1)
        await topology.ask(topology.gateway, "topo/delete", [name(second)], 2)
        await topology.registry.enable(first, False)
        await topology.registry.enable(first, True)
        await topology.ask(topology.other, "topo/add", [proof(first)], 1)
        await topology.registry.delete(first)
        bodies = await heard(7)
    told = [(one["action"], one["gwDeviceName"], [sub["deviceName"] for sub in one["devices"]]) for one in bodies]
    assert [one for one in told if one[1] == "gateway1"] == [
        ("create", "gateway1", ["sensor0", "sensor1"]),
        ("delete", "gateway1", ["sensor1"]),
        ("disable", "gateway1", ["sensor0"]),
        ("enable", "gateway1", ["sensor0"]),
        ("delete", "gateway1", ["sensor0"]),
    ]
    assert [one for one in told if one[1] == "gateway2"] == [
        ("create", "gateway2", ["sensor0"]),
        ("delete", "gateway2", ["sensor0"]),
    ]
    assert bodies[0].keys() == {"action", "gwIotId", "gwProductKey", "gwDeviceName", "devices", "messageCreateTime"}
    assert bodies[0]["devices"][0].keys() == {"iotId", "productKey", "deviceName"}


async def test_while_auth_is_away_an_addition_is_a_system_error_and_the_rest_goes_on(
    topology: Topology, start_registry: StartRegistry, tmp_path: Path
) -> None:
    await topology.registry.stop()
    without = Topology(await start_registry(auth_target=f"unix://{tmp_path}/nobody"), topology.bus, topology.calls)
    gateway, first = topology.gateway, topology.subs[0]
    assert (await without.ask(gateway, "topo/add", [proof(first)], 1))["code"] == 500
    assert (await without.ask(gateway, "topo/get", {}, 2))["data"] == []
    assert await without.held(gateway, [first]) == [False]


async def test_thousand_devices_of_one_message_are_added(topology: Topology) -> None:
    many = [Identity(topology.sensors, f"many{number}", "s") for number in range(1001)]
    answer = await topology.ask(topology.gateway, "topo/add", [proof(one) for one in many], 1)
    assert answer["code"] == 460
    answer = await topology.ask(topology.gateway, "topo/add", [proof(one) for one in many[:1000]], 2)
    assert answer["code"] == 6100


async def test_callers_remove_and_the_gateway_is_told(topology: Topology) -> None:
    first, second, _ = topology.subs
    await topology.ask(topology.gateway, "topo/add", [proof(first), proof(second)], 1)
    await topology.stub.RemoveSubDevices(pb.RemoveSubDevicesRequest(refs=[ref(first), ref(second)]))
    (change,) = await topology.downlinks(1, "/thing/topo/change")
    assert change["params"] == {"status": 1, "subList": [name(first), name(second)]}
    assert sorted(topology.ended) == ["sensor0", "sensor1"]
    assert await topology.listed(topology.gateway) == []
    with pytest.raises(RemoteFault) as refused:
        await topology.stub.RemoveSubDevices(pb.RemoveSubDevicesRequest(refs=[ref(first)]))
    assert refused.value.remote_reason == "topology_not_found"


async def test_the_gateway_of_a_device_is_found(topology: Topology) -> None:
    first, second, _ = topology.subs
    await topology.ask(topology.gateway, "topo/add", [proof(first)], 1)
    answer = await topology.stub.GetGatewayOfSubDevice(pb.GetGatewayOfSubDeviceRequest(ref=ref(first)))
    assert answer.gateway.device.device_name == "gateway1"
    with pytest.raises(RemoteFault) as refused:
        await topology.stub.GetGatewayOfSubDevice(pb.GetGatewayOfSubDeviceRequest(ref=ref(second)))
    assert refused.value.remote_reason == "topology_not_found"


async def test_a_gateway_is_asked_to_add(topology: Topology) -> None:
    devices = [device(one) for one in topology.subs]
    request = pb.NotifyAddSubDevicesRequest(gateway=ref(topology.gateway), devices=devices, message_id=12)
    await topology.stub.NotifyAddSubDevices(request)
    (asked,) = await topology.downlinks(1, "/thing/topo/add/notify")
    assert (asked["id"], asked["method"], asked["params"]) == (
        "12",
        "thing.topo.add.notify",
        list(map(name, topology.subs)),
    )
    for gateway, subs, reason in (
        (topology.subs[0], devices, "topology_refused"),
        (topology.gateway, [device(topology.other)], "topology_refused"),
        (topology.gateway, [device_pb2.DeviceId(product_key="a", device_name="b")], "device_not_found"),
        (topology.gateway, [device_pb2.DeviceId(product_key="a", device_name="\0")], "device_not_found"),
        (topology.gateway, [], "request_invalid"),
    ):
        with pytest.raises(RemoteFault) as refused:
            await topology.stub.NotifyAddSubDevices(pb.NotifyAddSubDevicesRequest(gateway=ref(gateway), devices=subs))
        assert refused.value.remote_reason == reason


async def test_a_gateway_is_told_when_a_sub_device_is_disabled_enabled_and_deleted(topology: Topology) -> None:
    first, second, _ = topology.subs
    await topology.ask(topology.gateway, "topo/add", [proof(first), proof(second)], 1)
    await topology.registry.enable(first, False)
    await topology.registry.enable(first, True)
    await topology.registry.delete(first)
    changes = await topology.downlinks(3, "/thing/topo/change")
    assert [one["params"]["status"] for one in changes] == [8, 2, 1]
    assert all(one["params"]["subList"] == [name(first)] for one in changes)
    assert topology.ended == [], "the device's own bar ended its session"
    assert await topology.listed(topology.gateway) == ["sensor1"]
    await topology.registry.register(first.product_key, first.device_name)
    assert await topology.held(topology.gateway) == [False, True, False]


async def test_a_gateway_that_is_deleted_leaves_its_devices_to_others(topology: Topology) -> None:
    first = topology.subs[0]
    await topology.ask(topology.gateway, "topo/add", [proof(first)], 1)
    await topology.registry.delete(topology.gateway)
    assert await topology.held(topology.gateway) == [False, False, False]
    assert (await topology.ask(topology.gateway, "topo/get", {}, 2))["code"] == 6100
    assert (await topology.ask(topology.gateway, "topo/add", [proof(first)], 3))["code"] == 6100
    assert (await topology.ask(topology.other, "topo/add", [proof(first)], 1))["code"] == 200


async def test_without_gateways_a_change_is_stored_and_told_when_they_are_back(
    registry: Registry, start_registry: StartRegistry, bus: Bus, gateway: GatewayCalls, tmp_path: Path
) -> None:
    topology = await Topology(registry, bus, gateway).prepare()
    first = topology.subs[0]
    await topology.ask(topology.gateway, "topo/add", [proof(first)], 1)
    await registry.stop()
    alone = Topology(await start_registry(gateway_target=f"unix://{tmp_path}/later"), bus, gateway)
    await alone.stub.RemoveSubDevices(pb.RemoveSubDevicesRequest(refs=[ref(first)]))
    assert await alone.held(topology.gateway, [first]) == [False]
    async with gateway.serving(f"unix://{tmp_path}/later"):
        (change,) = await topology.downlinks(1, "/thing/topo/change")
        assert (change["params"]["status"], topology.ended) == (1, ["sensor0"])


async def test_two_gateways_that_add_the_same_devices_leave_each_behind_one(topology: Topology) -> None:
    sent = [
        message(gateway, "topo/add", [proof(one) for one in subs], number)
        for number in range(1, 6)
        for gateway, subs in ((topology.gateway, topology.subs), (topology.other, topology.subs[::-1]))
    ]
    await asyncio.gather(*(topology.send(one) for one in sent))
    assert [one["code"] for one in await topology.replies(10)] == [200] * 10
    owned = zip(await topology.held(topology.gateway), await topology.held(topology.other), strict=True)
    assert all(sorted(pair) == [False, True] for pair in owned)


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_without_postgresql_known_sub_devices_are_known_from_redis(
    start_registry: StartRegistry, bus: Bus, gateway: GatewayCalls, private_postgres: PostgresServer, how: str
) -> None:
    registry = await start_registry(postgres_dsn=private_postgres.dsn)
    topology = await Topology(registry, bus, gateway).prepare()
    first, second, third = topology.subs
    await topology.ask(topology.gateway, "topo/add", [proof(first), proof(second)], 1)
    await topology.ask(topology.gateway, "topo/delete", [name(second)], 2)
    getattr(private_postgres, how)()
    began = time.monotonic()
    assert await topology.held(topology.gateway, [first, second]) == [True, False]
    assert await topology.held(topology.other, [first]) == [False]
    with pytest.raises(RemoteFault) as refused:
        await topology.held(topology.gateway, [first, third])
    assert refused.value.kind == "Unavailable"
    assert time.monotonic() - began < 4


async def test_without_redis_topology_works(
    start_registry: StartRegistry, bus: Bus, gateway: GatewayCalls, private_redis: RedisServer
) -> None:
    topology = await Topology(await start_registry(redis_url=private_redis.url), bus, gateway).prepare()
    private_redis.kill()
    answer = await topology.ask(topology.gateway, "topo/add", [proof(topology.subs[0])], 1)
    assert (answer["code"], await topology.held(topology.gateway)) == (200, [True, False, False])


def written(sub: Identity, **members: str) -> pb.SubDeviceProof:
    made = {
        "client_id": "c1",
        "timestamp": "17",
        "sign_method": "hmacSha256",
        "sign": str(proof(sub)["sign"]),
        **members,
    }
    return pb.SubDeviceProof(device=device(sub), **made)


async def test_callers_add_with_proofs_and_the_gateways_are_told(topology: Topology) -> None:
    first, second, third = topology.subs
    await topology.ask(topology.other, "topo/add", [proof(first)], 1)
    proofs = [written(first), written(second)]
    await topology.stub.AddSubDevices(pb.AddSubDevicesRequest(gateway=ref(topology.gateway), proofs=proofs))
    assert await topology.held(topology.gateway) == [True, True, False]
    changes = await topology.downlinks(2, "/thing/topo/change")
    assert sorted((one["params"]["status"], len(one["params"]["subList"])) for one in changes) == [(0, 2), (1, 1)]
    assert topology.ended == ["sensor0"]
    for gateway, wrong, reason in (
        (topology.gateway, written(third, sign="0" * 64), "topology_refused"),
        (topology.gateway, written(third, sign_method="rot13"), "request_invalid"),
        (topology.gateway, written(Identity(topology.sensors, "nobody1", "s")), "device_not_found"),
        (third, written(second), "topology_refused"),
    ):
        with pytest.raises(RemoteFault) as refused:
            await topology.stub.AddSubDevices(pb.AddSubDevicesRequest(gateway=ref(gateway), proofs=[wrong]))
        assert refused.value.remote_reason == reason
