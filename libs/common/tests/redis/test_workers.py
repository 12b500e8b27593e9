"""Worker ids are held by one process at a time, against a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.servers import RedisServer
from thinghub.common.health import Health
from thinghub.common.redis import Redis, cmd, open_redis
from thinghub.common.redis.workers import NoWorkerId, WorkerLease, worker_key


@pytest.fixture
async def redis(redis_url: str, prefix: str) -> AsyncIterator[Redis]:
    opened = await open_redis(redis_url, prefix)
    yield opened
    await opened.close()


@asynccontextmanager
async def held(redis: Redis, owner: str, seconds: float = 5.0) -> AsyncIterator[WorkerLease]:
    health = Health()
    component = health.component("test", "worker id")
    lease = WorkerLease(redis, owner, seconds)
    task = asyncio.create_task(lease.hold(component))
    try:
        async with asyncio.timeout(5):
            await health.wait_ready()
        yield lease
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_two_processes_hold_different_ids(redis: Redis) -> None:
    async with held(redis, "a") as first, held(redis, "b") as second:
        assert first.current() != second.current()


async def test_an_id_names_its_owner_and_is_given_back_at_the_end(redis: Redis) -> None:
    async with held(redis, "a") as lease:
        key = worker_key(lease.current())
        assert await redis.one(cmd("GET", key)) == b"a"
    assert await redis.one(cmd("GET", key)) is None
    with pytest.raises(NoWorkerId):
        lease.current()


async def test_a_lease_is_renewed_past_its_length(redis: Redis) -> None:
    async with held(redis, "a", 0.6) as lease:
        worker = lease.current()
        await asyncio.sleep(1.0)
        assert lease.current() == worker


async def test_an_id_that_redis_forgot_is_taken_again(redis: Redis) -> None:
    async with held(redis, "a", 0.6) as lease:
        key = worker_key(lease.current())
        await redis.one(cmd("DEL", key))
        await asyncio.sleep(0.5)
        assert await redis.one(cmd("GET", key)) == b"a"


async def test_an_id_that_another_took_is_exchanged(redis: Redis) -> None:
    async with held(redis, "a", 0.6) as lease:
        worker = lease.current()
        await redis.one(cmd("SET", worker_key(worker), "b"))
        await asyncio.sleep(0.5)
        assert lease.current() != worker


async def test_nothing_is_held_while_redis_is_away(private_redis: RedisServer) -> None:
    redis = await open_redis(private_redis.url)
    async with held(redis, "a", 1.0) as lease:
        private_redis.pause()
        await asyncio.sleep(1.5)
        with pytest.raises(NoWorkerId):
            lease.current()
        private_redis.resume()
        async with asyncio.timeout(5):
            while True:
                try:
                    lease.current()
                    break
                except NoWorkerId:
                    await asyncio.sleep(0.05)
    await redis.close()
