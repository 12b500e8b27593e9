"""The sweep: the projection against the sessions that gateways hold."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support.gateway_calls import GatewayCalls
from tests.support.gateways import Hub, device_id, hub
from tests.support.identity import Identity
from tests.support.registry_service import Registry, StartRegistry
from thinghub.common.bus.port import Bus
from thinghub.common.redis import cmd, open_redis
from thinghub.device_protocol.bodies import status_body, status_topic
from thinghub.device_protocol.bus_topics import DEVICE_LIFECYCLE
from thinghub.device_protocol.records import Message, encode_record
from thinghub.device_protocol.slots import device_partition
from thinghubpb.gateway.v1 import gateway_pb2
from thinghubpb.registry.v1 import registry_pb2 as pb

SWEPT: dict[str, object] = {"sweep_seconds": 0.3, "sweep_again_seconds": 0.3}


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not await check():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.05)


async def come_online(bus: Bus, identity: Identity, epoch: int) -> None:
    pk, dn = identity.product_key, identity.device_name
    now = time.time_ns() // 1_000_000
    body = status_body(
        "online", product_key=pk, device_name=dn, iot_id="i", time_ms=now, last_ms=now, client_ip="10.0.0.1"
    )
    message = Message(epoch, pk, dn, status_topic(pk, dn), body, epoch, received_ms=now)
    partition = device_partition(pk, dn, await bus.partitions(DEVICE_LIFECYCLE))
    await bus.publish(DEVICE_LIFECYCLE, partition, encode_record("gw1", [message]))


async def projected(registry: Registry, identity: Identity) -> tuple[bool, int]:
    device = await registry.device(identity)
    assert device is not None
    return device.online, device.epoch


def counted(registry: Registry, outcome: str) -> float:
    value = registry.runtime.metrics.registry.get_sample_value
    return value("thinghub_device_registry_statuses_total", {"outcome": outcome}) or 0.0


def session(epoch: int) -> gateway_pb2.Session:
    now = time.time_ns() // 1_000_000
    return gateway_pb2.Session(online=True, epoch=epoch, connected_ms=now, client_address="10.0.0.7:4711")


async def test_lost_events_are_repaired_and_what_agrees_is_left(
    start_registry: StartRegistry, bus: Bus, gateway: GatewayCalls
) -> None:
    registry = await start_registry(**SWEPT)
    product_key = (await registry.product()).product_key
    left, moved, there = [await registry.register(product_key, name) for name in ("left", "moved", "there")]
    gateway.sessions = {"moved": session(9), "there": session(5)}
    for identity in (left, moved, there):
        await come_online(bus, identity, 5)

    async def repaired() -> bool:
        return await projected(registry, left) == (False, 5) and await projected(registry, moved) == (True, 9)

    await eventually(repaired)
    assert await projected(registry, there) == (True, 5)
    device = await registry.device(moved)
    assert device is not None
    assert device.client_address == "10.0.0.7"
    assert counted(registry, "repaired") == 2


async def test_an_event_that_comes_during_the_sweep_wins(
    start_registry: StartRegistry, bus: Bus, gateway: GatewayCalls
) -> None:
    registry = await start_registry(**SWEPT)
    identity = await registry.register((await registry.product()).product_key, "back")
    looks = 0

    async def comes_back(names: list[str]) -> None:
        """Just before the second look is answered with what was true a moment ago."""
        nonlocal looks
        looks += 1
        if looks == 2:
            await come_online(bus, identity, 8)
            await eventually(lambda: _is(registry, identity, (True, 8)))

    gateway.looked = comes_back
    await come_online(bus, identity, 5)
    await eventually(lambda: _true(looks >= 2))
    gateway.sessions = {"back": session(8)}
    gateway.looked = None
    await asyncio.sleep(1.0)
    assert await projected(registry, identity) == (True, 8)


async def test_one_process_sweeps_for_all(start_registry: StartRegistry, bus: Bus, gateway: GatewayCalls) -> None:
    first, second = await start_registry(**SWEPT), await start_registry(**SWEPT)
    identity = await first.register((await first.product()).product_key, "left")
    await come_online(bus, identity, 5)
    await eventually(lambda: _is(first, identity, (False, 5)))
    await asyncio.sleep(1.0)
    assert sorted(counted(one, "compared") > 0 for one in (first, second)) == [False, True]


@pytest.fixture
async def platform(redis_url: str, postgres_dsn: str, prefix: str) -> AsyncIterator[Hub]:
    async with hub(redis_url, postgres_dsn, prefix, registry=SWEPT) as running:
        yield running


async def test_a_projection_follows_the_claims_of_a_gateway(platform: Hub, redis_url: str, prefix: str) -> None:
    gateway = await platform.gateway(claims_check_seconds=3600)
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)

    async def online(expected: bool) -> bool:
        ref = pb.DeviceRef(device=device_id(identity))
        (found,) = (await platform.registry.GetDevices(pb.GetDevicesRequest(refs=[ref]))).devices
        return found.device.online is expected

    await eventually(lambda: online(True))
    redis = await open_redis(redis_url, prefix)
    key = f"session:{{{identity.product_key}/{identity.device_name}}}"
    claim = await redis.one(cmd("HGETALL", key))
    assert isinstance(claim, list)
    await redis.one(cmd("DEL", key))
    await eventually(lambda: online(False))
    await redis.one(cmd("HSET", key, *claim))
    await eventually(lambda: online(True))
    await redis.close()
    await device.disconnect()
    await eventually(lambda: online(False))


async def _is(registry: Registry, identity: Identity, expected: tuple[bool, int]) -> bool:
    return await projected(registry, identity) == expected


async def _true(value: bool) -> bool:
    return value
