"""What the registry does while PostgreSQL or Redis is away."""

import asyncio
import time

import pytest

from tests.support.registry_service import Registry, StartRegistry
from tests.support.servers import PostgresServer, RedisServer
from thinghub.common.errors import RemoteFault
from thinghubpb.registry.v1 import registry_pb2 as pb


async def ready(registry: Registry, wanted: bool) -> None:
    end = time.monotonic() + 20
    while registry.runtime.health.ready() is not wanted:
        assert time.monotonic() < end, registry.runtime.health.report()
        await asyncio.sleep(0.05)


async def cached(registry: Registry, product_key: str) -> pb.ProductPolicy:
    """The policy, once the outbox has copied it."""
    await asyncio.sleep(0.5)
    return await registry.policy(product_key)


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_without_postgresql_policies_come_from_redis_and_the_registry_is_not_ready(
    start_registry: StartRegistry, bus: object, private_postgres: PostgresServer, how: str
) -> None:
    registry = await start_registry(postgres_dsn=private_postgres.dsn)
    product_key = (await registry.product()).product_key
    policy = await cached(registry, product_key)
    getattr(private_postgres, how)()
    began = time.monotonic()
    assert await registry.policy(product_key) == policy
    assert time.monotonic() - began < 4
    with pytest.raises(RemoteFault) as refused:
        await registry.policy("a1nothing")
    assert refused.value.kind == "Unavailable"
    await ready(registry, False)
    private_postgres.resume() if how == "pause" else private_postgres.start()
    await ready(registry, True)
    assert (await registry.register(product_key, "dev1")).device_name == "dev1"


async def test_a_changed_policy_reaches_the_copy_and_an_older_one_never_replaces_it(
    start_registry: StartRegistry, bus: object, private_postgres: PostgresServer
) -> None:
    registry = await start_registry(postgres_dsn=private_postgres.dsn)
    product_key = (await registry.product()).product_key
    await cached(registry, product_key)
    request = pb.SetProductLimitsRequest(product_key=product_key, limits=pb.Limits(up_qos1_per_second=99))
    version = (await registry.stub.SetProductLimits(request)).version
    await asyncio.sleep(0.5)
    private_postgres.kill()
    policy = await registry.policy(product_key)
    assert (policy.version, policy.limits.up_qos1_per_second) == (version, 99)


async def test_without_redis_everything_but_the_copies_works(
    start_registry: StartRegistry, bus: object, private_redis: RedisServer
) -> None:
    registry = await start_registry(redis_url=private_redis.url)
    private_redis.kill()
    product_key = (await registry.product()).product_key
    await registry.register(product_key, "dev1")
    assert (await registry.policy(product_key)).found
    assert registry.runtime.health.ready()


async def test_without_the_bus_devices_are_registered_and_told_of_later(
    start_registry: StartRegistry, private_redis: RedisServer, bus: object, prefix: str
) -> None:
    """`bus` is not this one: here it is a Redis of its own, without topics, and then away."""
    registry = await start_registry(ready=False, bus_url=f"streams+{private_redis.url}")
    end = time.monotonic() + 20
    while not registry.runtime.health.component("device-registry", "postgres").is_ok:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    private_redis.kill()
    product_key = (await registry.product()).product_key
    await registry.register(product_key, "dev1")
    assert not registry.runtime.health.ready()
