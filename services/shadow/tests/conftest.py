"""Documents and things on the session's Redis, one server or a Cluster, and its PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.shadow_documents import Bench, MakeBench, Sent, made
from tests.support.shadow_things import ThingBench
from thinghub.common.health import Health
from thinghub.common.postgres import Postgres
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


@pytest.fixture
async def postgres(postgres_dsn: str, prefix: str) -> AsyncIterator[Postgres]:
    opened = Postgres.open(postgres_dsn, "things_" + prefix.strip("."), migrations="thinghub.shadow.migrations")
    component = Health().component("shadow", "postgres")
    watch = asyncio.create_task(opened.watch(component))
    while not component.is_ok:
        await asyncio.sleep(0.02)
    yield opened
    watch.cancel()
    await opened.close()


@pytest.fixture
def things(redis: Redis, postgres: Postgres) -> ThingBench:
    return ThingBench(redis, postgres)
