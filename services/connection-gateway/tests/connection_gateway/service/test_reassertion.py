"""Claims made once more: a gateway keeps its connections when Redis loses its data, or when it was taken for dead."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.support.cable import cable
from tests.support.child import free_port
from tests.support.device import Device
from tests.support.gateway_process import GatewayProcess, start_gateway
from tests.support.gateways import Hub, RunningGateway, Taps, device_id, eventually, hub, tapped
from tests.support.identity import Identity
from tests.support.servers import RedisServer
from thinghub.common.redis import cmd, open_redis
from thinghubpb.gateway.v1 import gateway_pb2 as pb

LEASE = 3.0
SOON = 30.0  # a bound on patience, not a promise


@pytest.fixture
async def split(redis_url: str, private_redis: RedisServer, postgres_dsn: str, prefix: str) -> AsyncIterator[Hub]:
    """The bus on one Redis, sessions on another that the test may break."""
    async with hub(private_redis.url, postgres_dsn, prefix, bus_url=f"streams+{redis_url}") as running:
        yield running


@pytest.fixture
async def frozen(platform: Hub) -> AsyncIterator[GatewayProcess]:
    """A gateway that the test may freeze."""
    started = await start_gateway(platform, lease_seconds=LEASE)
    yield started
    await started.end()


def words(taps: Taps, identity: Identity) -> list[str]:
    return [str(json.loads(one.payload)["status"]) for one in taps.statuses(identity)]


async def sessions(gateway: RunningGateway, *identities: Identity) -> list[pb.Session]:
    request = pb.GetSessionsRequest(devices=[device_id(one) for one in identities])
    return list((await gateway.rpc.GetSessions(request)).sessions)


async def test_claims_are_there_again_after_redis_lost_everything(
    split: Hub, private_redis: RedisServer, prefix: str
) -> None:
    here, there = await split.gateway(lease_seconds=LEASE), await split.gateway(lease_seconds=LEASE)
    product = await split.product()
    identities = [await split.device(product) for _ in range(10)]
    async with tapped(split.bus) as taps:
        devices = [await here.connect(identity) for identity in identities]
        before = await sessions(there, *identities)
        redis = await open_redis(private_redis.url, prefix)
        await redis.one(cmd("FLUSHALL"))

        async def back() -> bool:
            return await sessions(there, *identities) == before

        await eventually(back, SOON)
        message = pb.Downlink(
            device=device_id(identities[0]), topic=identities[0].topic("get"), payload=b"x", qos=1, message_id=1
        )
        await devices[0].subscribe(identities[0].topic("get"))
        answer = await there.rpc.Deliver(pb.DeliverRequest(messages=[message], wait_ms=2000))
        assert [one.outcome for one in answer.deliveries] == [pb.OUTCOME_DELIVERED]
        indexes = await redis.one(cmd("KEYS", f"{prefix}gwsessions:*"))
        assert isinstance(indexes, list)
        assert await redis.one(cmd("SCARD", indexes[0].decode().removeprefix(prefix))) == len(identities)
        await redis.close()
        await devices[0].disconnect()
        await taps.status(identities[0], "online", "offline")
        assert all(words(taps, one) == ["online"] for one in identities[1:])
        assert not any(device.closed.is_set() for device in devices[1:])


async def test_a_gateway_cut_off_from_redis_keeps_its_devices_but_those_that_moved(
    split: Hub, private_redis: RedisServer
) -> None:
    other = await split.gateway(lease_seconds=LEASE)
    async with cable(("127.0.0.1", private_redis.port)) as path, tapped(split.bus) as taps:
        alone = await split.gateway(lease_seconds=LEASE, redis_url=f"redis://127.0.0.1:{path.port}/0")
        product = await split.product()
        mover, stayer = await split.device(product), await split.device(product)
        moved, stayed = await alone.connect(mover), await alone.connect(stayer)
        path.target = ("127.0.0.1", free_port())
        path.cut()
        await eventually(lambda: _is(words(taps, stayer) == ["online", "offline"]), SOON)
        await other.connect(mover)
        assert not moved.closed.is_set()
        stayed.publish(stayer.topic("update"), b"without redis")
        assert (await taps.custom_many(stayer, 1))[0].payload == b"without redis"
        path.target = ("127.0.0.1", private_redis.port)
        await moved.wait_closed(SOON)
        await eventually(lambda: _is(words(taps, stayer) == ["online", "offline", "online"]), SOON)
        assert [one.online for one in await sessions(other, mover, stayer)] == [True, True]
        assert (await sessions(other, mover))[0].gateway_address.endswith("gateway-0")
        assert words(taps, mover)[-1] == "online"
        assert not stayed.closed.is_set()
        await stayed.disconnect()
        await eventually(lambda: _is(words(taps, stayer)[-2:] == ["online", "offline"]), SOON)
        epochs = [one.epoch for one in taps.statuses(stayer)]
        assert epochs == sorted(epochs)


async def test_a_gateway_that_was_frozen_past_its_lease_goes_on(
    platform: Hub, taps: Taps, frozen: GatewayProcess
) -> None:
    other = await platform.gateway(lease_seconds=LEASE)
    product = await platform.product()
    mover, stayer = await platform.device(product), await platform.device(product)
    moved, stayed = await frozen.connect(mover), await frozen.connect(stayer)
    await taps.status(stayer, "online")
    frozen.child.pause()
    await eventually(lambda: _is(words(taps, stayer) == ["online", "offline"]), SOON)
    await other.connect(mover)
    frozen.child.resume()
    await moved.wait_closed(SOON)
    await eventually(lambda: _is(words(taps, stayer) == ["online", "offline", "online"]), SOON)
    stayed.publish(stayer.topic("update"), b"still here")
    assert (await taps.custom_many(stayer, 1))[0].payload == b"still here"
    assert [one.online for one in await sessions(other, mover, stayer)] == [True, True]
    assert words(taps, mover)[-1] == "online"


async def test_what_was_queued_while_a_gateway_was_taken_for_dead_reaches_the_device(
    platform: Hub, taps: Taps, frozen: GatewayProcess
) -> None:
    other = await platform.gateway(lease_seconds=LEASE)
    identity = await platform.device(await platform.product())
    device = await Device(identity, clean=False).connect(*frozen.mqtt)
    await device.subscribe(identity.topic("get"))
    frozen.child.pause()
    await eventually(lambda: _is(words(taps, identity) == ["online", "offline"]), SOON)
    messages = [
        pb.Downlink(
            device=device_id(identity), topic=identity.topic("get"), payload=b"%d" % number, qos=1, message_id=number
        )
        for number in range(1, 4)
    ]
    answer = await other.rpc.Deliver(pb.DeliverRequest(messages=messages, wait_ms=100))
    assert [one.outcome for one in answer.deliveries] == [pb.OUTCOME_QUEUED] * 3
    frozen.child.resume()
    assert [(await device.receive(SOON)).payload for _ in messages] == [b"1", b"2", b"3"]
    assert not device.closed.is_set()


async def _is(value: bool) -> bool:
    return value
