"""Gateways that die: another one ends their sessions, and nobody is taken for dead who is not."""

import asyncio
import json
import random
from collections.abc import AsyncIterator

import pytest

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
async def victim(platform: Hub) -> AsyncIterator[GatewayProcess]:
    started = await start_gateway(platform, lease_seconds=LEASE)
    yield started
    await started.end()


def words(taps: Taps, identity: Identity) -> list[str]:
    return [str(json.loads(one.payload)["status"]) for one in taps.statuses(identity)]


async def online(gateway: RunningGateway, *identities: Identity) -> list[bool]:
    request = pb.GetSessionsRequest(devices=[device_id(one) for one in identities])
    return [one.online for one in (await gateway.rpc.GetSessions(request)).sessions]


def counted(gateway: RunningGateway, event: str) -> float:
    name = "thinghub_connection_gateway_events_total"
    return gateway.runtime.metrics.registry.get_sample_value(name, {"event": event}) or 0.0


async def test_devices_of_a_killed_gateway_are_offline_and_those_that_moved_online(
    platform: Hub, taps: Taps, victim: GatewayProcess, redis_url: str, prefix: str
) -> None:
    survivor = await platform.gateway(lease_seconds=LEASE)
    product = await platform.product()
    identities = [await platform.device(product) for _ in range(40)]
    stay, move = identities[:20], identities[20:]
    for identity in identities:
        await victim.connect(identity)
    victim.child.kill()

    async def come_back(identity: Identity) -> Device:
        await asyncio.sleep(random.uniform(0, 2 * LEASE))  # before, during and after the expiry
        return await survivor.connect(identity)

    await asyncio.gather(*(come_back(identity) for identity in move))

    async def reported() -> bool:
        gone = all(words(taps, one) == ["online", "offline"] for one in stay)
        return gone and all(words(taps, one)[-1] == "online" for one in move)

    await eventually(reported, SOON)
    assert await online(survivor, *stay) == [False] * len(stay)
    assert await online(survivor, *move) == [True] * len(move)
    for identity in identities:
        epochs = [one.epoch for one in taps.statuses(identity)]
        assert epochs == sorted(epochs)
    left = json.loads(taps.statuses(stay[0])[-1].payload)
    assert left["iotId"] == json.loads(taps.statuses(stay[0])[0].payload)["iotId"]
    assert left["clientIp"] == "127.0.0.1"
    redis = await open_redis(redis_url, prefix)
    assert await redis.one(cmd("HLEN", "gateways")) == 1
    indexes = await redis.one(cmd("KEYS", f"{prefix}gwsessions:*"))
    await redis.close()
    assert isinstance(indexes, list)
    assert len(indexes) == 1


async def test_of_two_that_see_a_dead_gateway_each_session_is_ended_by_one(
    platform: Hub, taps: Taps, victim: GatewayProcess
) -> None:
    survivors = [await platform.gateway(lease_seconds=LEASE) for _ in range(2)]
    product = await platform.product()
    identities = [await platform.device(product) for _ in range(30)]
    for identity in identities:
        await victim.connect(identity)
    victim.child.kill()

    async def reported() -> bool:
        return all(words(taps, one) == ["online", "offline"] for one in identities)

    await eventually(reported, SOON)
    await asyncio.sleep(LEASE)
    assert await reported()
    assert sum(counted(one, "sessions_expired") for one in survivors) == len(identities)
    assert sum(counted(one, "gateways_expired") for one in survivors) == 1


async def test_nobody_is_taken_for_dead_because_redis_froze_or_restarted(
    split: Hub, private_redis: RedisServer
) -> None:
    lease = 2.0
    gateways = [await split.gateway(lease_seconds=lease) for _ in range(2)]
    product = await split.product()
    identities = [await split.device(product) for _ in gateways]
    async with tapped(split.bus) as taps:
        devices = [await one.connect(identity) for one, identity in zip(gateways, identities, strict=True)]
        await asyncio.sleep(2 * lease)  # they begin to trust what they see
        await asyncio.to_thread(private_redis.pause)
        await asyncio.sleep(2 * lease)
        await asyncio.to_thread(private_redis.resume)
        await asyncio.sleep(2 * lease)
        await asyncio.to_thread(private_redis.restart)
        await asyncio.sleep(2 * lease)
        for gateway in gateways:
            await asyncio.wait_for(gateway.runtime.health.wait_ready(), SOON)
        assert await online(gateways[0], *identities) == [True, True]
        assert [words(taps, one) for one in identities] == [["online"], ["online"]]
        assert not any(device.closed.is_set() for device in devices)
    assert [counted(one, "sessions_expired") for one in gateways] == [0, 0]
