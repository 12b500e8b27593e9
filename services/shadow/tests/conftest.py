"""Documents on the session's Redis, one server or a Cluster."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.shadow_documents import Bench, MakeBench, Sent, made
from thinghub.common.redis import Redis, open_redis
from thinghub.shadow.adapters.redis_documents import RedisDocuments


@pytest.fixture(params=["single", "cluster"])
async def redis(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Redis]:
    url = request.getfixturevalue("redis_url" if request.param == "single" else "redis_cluster_url")
    opened = await open_redis(url, prefix)
    yield opened
    await opened.close()


@pytest.fixture
def make_bench(redis: Redis) -> MakeBench:
    def make(replicas: int = 0, **limits: Any) -> Bench:
        store, sent = RedisDocuments(redis, replicas), Sent()
        return Bench(made(redis, store, sent, **limits), store, sent, redis)

    return make
