"""The roster on a single Redis and on a Cluster."""

from collections.abc import AsyncIterator

import pytest

from thinghub.common.redis import Redis, cmd, open_redis
from thinghub.connection_gateway.adapters.presence import Presence
from thinghub.connection_gateway.adapters.redis_roster import RedisRoster
from thinghub.connection_gateway.errors import ClaimsUnavailable


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
async def redis(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Redis]:
    opened = await open_redis(request.getfixturevalue(request.param), prefix)
    yield opened
    await opened.close()


async def test_gateways_with_a_lease_are_listed(redis: Redis) -> None:
    roster = RedisRoster(redis)
    assert await roster.gateways() == []
    first, second = Presence(redis, "inc-a", "a:1", 30), Presence(redis, "inc-b", "b:1", 30)
    await first.renew()
    await second.renew()
    assert await roster.gateways() == [("inc-a", "a:1"), ("inc-b", "b:1")]
    await redis.one(cmd("DEL", "gateway:{inc-a}"))
    assert await roster.gateways() == [("inc-b", "b:1")]


async def test_a_product_is_admitted_once_in_so_long_for_each_kind(redis: Redis) -> None:
    one, other = RedisRoster(redis), RedisRoster(redis)
    assert await one.admit("all", "pk", 60)
    assert not await other.admit("all", "pk", 60)
    assert await other.admit("all", "pk2", 60)
    assert await other.admit("topic", "pk", 1)


async def test_a_redis_that_is_away_is_said_so() -> None:
    redis = await open_redis("redis://127.0.0.1:1/0")
    with pytest.raises(ClaimsUnavailable):
        await RedisRoster(redis).gateways()
    with pytest.raises(ClaimsUnavailable):
        await RedisRoster(redis).admit("all", "pk", 1)
    await redis.close()
