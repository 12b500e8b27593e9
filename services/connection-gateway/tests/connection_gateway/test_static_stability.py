"""What goes on while a part is away: devices that the platform knows come back and publish; connections stay."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.support.gateways import Hub, Taps, device_id, eventually, hub, refusal, tapped
from tests.support.identity import Identity
from tests.support.servers import PostgresServer, RedisServer
from thinghubpb.gateway.v1 import gateway_pb2 as pb

LEASE = 2.0


@pytest.fixture
async def on_postgres(redis_url: str, private_postgres: PostgresServer, prefix: str) -> AsyncIterator[Hub]:
    async with hub(redis_url, private_postgres.dsn, prefix) as running:
        yield running


@pytest.fixture
async def on_redis(redis_url: str, private_redis: RedisServer, postgres_dsn: str, prefix: str) -> AsyncIterator[Hub]:
    """The bus on one Redis, sessions on another that the test may break."""
    async with hub(private_redis.url, postgres_dsn, prefix, bus_url=f"streams+{redis_url}") as running:
        yield running


def words(taps: Taps, identity: Identity) -> list[str]:
    return [str(json.loads(one.payload)["status"]) for one in taps.statuses(identity)]


async def test_known_devices_reconnect_and_publish_while_postgresql_is_down(
    on_postgres: Hub, private_postgres: PostgresServer
) -> None:
    gateway = await on_postgres.gateway()
    product = await on_postgres.product()
    known, registered = await on_postgres.device(product), await on_postgres.device(product)
    stranger = Identity(product, "stranger", "s" * 32)
    device = await gateway.connect(known)
    await asyncio.to_thread(private_postgres.kill)
    await device.disconnect()
    async with tapped(on_postgres.bus) as taps:
        again = await gateway.connect(known)
        again.publish(known.topic("update"), b"the same gateway")
        fresh = await on_postgres.gateway()
        elsewhere = await fresh.connect(known)
        elsewhere.publish(known.topic("update"), b"a gateway started meanwhile")
        got = await taps.custom_many(known, 2)
        assert [one.payload for one in got] == [b"the same gateway", b"a gateway started meanwhile"]
        await again.wait_closed(10)
    assert await refusal(registered.login(), *gateway.mqtt) == 0
    # Nobody can say whether this one exists: it is to try again, not turned away.
    assert await refusal(stranger.login(), *gateway.mqtt) == 3
    await asyncio.to_thread(private_postgres.start)

    async def turned_away() -> bool:
        return await refusal(stranger.login(), *gateway.mqtt) == 4

    await eventually(turned_away, 30)


async def test_a_gateway_keeps_its_devices_while_redis_is_down_for_longer_than_its_lease(
    on_redis: Hub, private_redis: RedisServer
) -> None:
    here, there = await on_redis.gateway(lease_seconds=LEASE), await on_redis.gateway(lease_seconds=LEASE)
    identity = await on_redis.device(await on_redis.product())
    topic = identity.topic("get")
    message = pb.Downlink(device=device_id(identity), topic=topic, payload=b"x", qos=1, message_id=1)
    async with tapped(on_redis.bus) as taps:
        device = await here.connect(identity)
        await device.subscribe(topic)
        before = await there.rpc.GetSessions(pb.GetSessionsRequest(devices=[device_id(identity)]))
        await asyncio.to_thread(private_redis.kill)
        await asyncio.sleep(2 * LEASE)
        device.publish(identity.topic("update"), b"without redis")
        assert (await taps.custom_many(identity, 1))[0].payload == b"without redis"
        answer = await here.rpc.Deliver(pb.DeliverRequest(messages=[message], wait_ms=2000))
        assert [one.outcome for one in answer.deliveries] == [pb.OUTCOME_DELIVERED]
        await asyncio.to_thread(private_redis.start)
        for gateway in (here, there):
            await asyncio.wait_for(gateway.runtime.health.wait_ready(), 30)
        await asyncio.sleep(3 * LEASE)  # long enough for a gateway to be taken for dead, if one were
        assert await there.rpc.GetSessions(pb.GetSessionsRequest(devices=[device_id(identity)])) == before
        assert (await device.receive()).payload == b"x"
        assert not device.closed.is_set()
        assert words(taps, identity) == ["online"]
