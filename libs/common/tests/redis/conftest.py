"""The two shapes of Redis, behind the one port. What a test breaks is its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.servers import RedisCluster
from thinghub.common.redis import Redis, open_redis


@pytest.fixture(params=["single", "cluster"])
def shape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def shape_url(shape: str, request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("redis_url" if shape == "single" else "redis_cluster_url"))


@pytest.fixture
async def store(shape_url: str, prefix: str) -> AsyncIterator[Redis]:
    """The port on the session's server or cluster, under a fresh prefix."""
    redis = await open_redis(shape_url, prefix)
    yield redis
    await redis.close()


@pytest.fixture(scope="package")
def private_cluster() -> Iterator[RedisCluster]:
    """A cluster that tests may harm; each leaves it healed."""
    cluster = RedisCluster()
    try:
        yield cluster.start()
    finally:
        cluster.close()
