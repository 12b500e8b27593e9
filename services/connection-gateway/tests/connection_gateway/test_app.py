"""The service as a whole: what it loses, what it keeps, how it stops."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest

from tests.support.gateways import Hub, Taps, device_id, eventually, hub, refusal, tapped
from tests.support.servers import RedisServer
from thinghub.common.redis import cmd, open_redis
from thinghub.common.tracing import is_sampled
from thinghubpb.gateway.v1 import gateway_pb2 as pb


@pytest.fixture
async def split(redis_url: str, private_redis: RedisServer, postgres_dsn: str, prefix: str) -> AsyncIterator[Hub]:
    """The bus on one Redis, sessions on another that the test may pause."""
    async with hub(private_redis.url, postgres_dsn, prefix, bus_url=f"streams+{redis_url}") as running:
        yield running


async def test_connections_outlive_redis_and_their_messages_too(split: Hub, private_redis: RedisServer) -> None:
    gateway = await split.gateway()
    product = await split.product()
    identity, other = await split.device(product), await split.device(product)
    device = await gateway.connect(identity)
    await device.subscribe(identity.topic("get"))
    message = pb.Downlink(device=device_id(identity), topic=identity.topic("get"), payload=b"x", qos=1, message_id=1)
    elsewhere = pb.Downlink(device=device_id(other), topic=other.topic("get"), payload=b"x", qos=1, message_id=2)
    async with tapped(split.bus) as taps:
        private_redis.pause()
        try:
            await eventually(lambda: not_ready(gateway.runtime.health.ready()), 10)
            assert await refusal(other.login(), *gateway.mqtt) == 3
            device.publish(identity.topic("update"), b"without redis")
            assert (await taps.custom_many(identity, 1))[0].payload == b"without redis"
            answer = await gateway.rpc.Deliver(pb.DeliverRequest(messages=[message, elsewhere], wait_ms=2000))
            assert [one.outcome for one in answer.deliveries] == [pb.OUTCOME_DELIVERED, pb.OUTCOME_FAILED]
            request = pb.RequestRequest(device=device_id(other), timeout_ms=1000)
            assert (await gateway.rpc.Request(request)).code == pb.RequestResponse.CODE_UNKNOWN
        finally:
            private_redis.resume()
        await asyncio.wait_for(gateway.runtime.health.wait_ready(), 15)
        assert not device.closed.is_set()
        assert await refusal(other.login(), *gateway.mqtt) == 0


async def not_ready(ready: bool) -> bool:
    return not ready


async def test_a_release_waits_for_redis_to_come_back(split: Hub, private_redis: RedisServer) -> None:
    gateway = await split.gateway()
    identity = await split.device(await split.product())
    async with tapped(split.bus) as taps:
        device = await gateway.connect(identity)
        await taps.status(identity, "online")
        private_redis.pause()
        await device.disconnect()
        await asyncio.sleep(2)
        private_redis.resume()
        await taps.status(identity, "online", "offline")


async def test_an_orderly_stop_takes_devices_offline_and_gives_everything_back(
    platform: Hub, taps: Taps, redis_url: str, prefix: str
) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)
    for number in range(50):
        device.publish(identity.topic("update"), f"{number}".encode())
    await taps.status(identity, "online")
    await gateway.stop()
    await device.wait_closed(5)
    await taps.status(identity, "online", "offline")
    redis = await open_redis(redis_url, prefix)
    keys = await redis.one(cmd("KEYS", f"{prefix}*"))
    await redis.close()
    assert isinstance(keys, list)
    names = [key.decode().removeprefix(prefix) for key in keys]
    assert [name for name in names if name.startswith(("session:", "gateway", "gwsessions:", "worker:"))] == []


async def test_two_gateways_have_different_workers(platform: Hub, taps: Taps) -> None:
    gateways = [await platform.gateway(), await platform.gateway()]
    product = await platform.product()
    workers = set()
    for gateway in gateways:
        identity = await platform.device(product)
        (await gateway.connect(identity)).publish(identity.topic("update"), b"x")
        workers.add((await taps.custom_many(identity, 1))[0].id >> 12 & 1023)
    assert len(workers) == 2


async def test_a_missing_topic_is_named_and_waited_for(platform: Hub) -> None:
    starting = asyncio.create_task(platform.gateway(bus_prefix=f"{platform.prefix}other."))
    await asyncio.sleep(1.0)
    assert not starting.done()
    assert "thinghub admin topics" in str(platform.last.runtime.health.report())
    await platform.create_topics(f"{platform.prefix}other.")
    await asyncio.wait_for(starting, 15)


async def test_figures_of_the_core_are_exported(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    await gateway.connect(identity)
    value = gateway.runtime.metrics.registry.get_sample_value
    assert value("thinghub_connection_gateway_core_sessions") == 1.0
    assert value("thinghub_connection_gateway_core_sessions_accepted_total") == 1.0
    wrong = dataclasses.replace(identity.login(), password="00")
    assert await refusal(wrong, *gateway.mqtt) == 4
    refused = value("thinghub_connection_gateway_core_refused_connect_total", {"reason": "bad_signature"})
    assert refused == 1.0


async def test_connects_are_refused_while_traffic_holds_more_than_the_ceiling(
    redis_url: str, private_redis: RedisServer, postgres_dsn: str, prefix: str
) -> None:
    async with hub(redis_url, postgres_dsn, prefix, bus_url=f"streams+{private_redis.url}") as platform:
        gateway = await platform.gateway(refuse_above_bytes=40_000)
        product = await platform.product()
        identity, other = await platform.device(product), await platform.device(product)
        device = await gateway.connect(identity)
        value = gateway.runtime.metrics.registry.get_sample_value

        async def holds_more() -> bool:
            return (value("thinghub_connection_gateway_core_buffered_bytes") or 0) > 40_000

        private_redis.pause()
        try:
            device.publish(identity.topic("update"), b"x" * 50_000)
            await eventually(holds_more)
            assert await refusal(other.login(), *gateway.mqtt) == 3
            assert value("thinghub_connection_gateway_core_refused_connect_total", {"reason": "memory"}) == 1.0
        finally:
            private_redis.resume()

        async def welcome() -> bool:
            return await refusal(other.login(), *gateway.mqtt) == 0

        await eventually(welcome, 15)


async def test_a_sampled_message_is_traced_from_its_first_byte_to_the_bus(platform: Hub, taps: Taps) -> None:
    gateway = await platform.gateway(trace_ratio=1.0)
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)
    device.publish(identity.topic("update"), b"x")
    (message,) = await taps.custom_many(identity, 1)
    assert is_sampled(message.traceparent)

    async def produced() -> bool:
        return any(span.name == "connection-gateway produce" for span in gateway.runtime.tracing.finished())

    await eventually(produced)
    spans = {span.name: span for span in gateway.runtime.tracing.finished()}
    receive, produce = spans["connection-gateway receive"], spans["connection-gateway produce"]
    assert receive.context is not None
    assert produce.parent is not None
    assert produce.parent.span_id == receive.context.span_id
    assert message.traceparent == f"00-{receive.context.trace_id:032x}-{receive.context.span_id:016x}-01"


async def test_sessions_on_a_redis_cluster(
    redis_cluster_url: str, redis_url: str, postgres_dsn: str, prefix: str
) -> None:
    async with hub(redis_cluster_url, postgres_dsn, prefix, bus_url=f"streams+{redis_url}") as platform:
        here, there = await platform.gateway(), await platform.gateway()
        product = await platform.product()
        identities = [await platform.device(product) for _ in range(8)]
        async with tapped(platform.bus) as taps:
            first = [await here.connect(identity) for identity in identities]
            await asyncio.gather(*(there.connect(identity) for identity in identities))
            for device in first:
                await device.wait_closed(5)
            for identity in identities:
                await taps.status(identity, "online", "online")
        request = pb.GetSessionsRequest(devices=[device_id(identity) for identity in identities])
        located = (await here.rpc.GetSessions(request)).sessions
        assert all(one.gateway_address.endswith("gateway-1") for one in located)
