"""Remembering connects and closes: bounded, off the path, and careful with names that anybody can make up."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from tests.support.servers import RedisServer
from thinghub.common.errors import Unavailable
from thinghub.common.redis import Redis, cmd, open_redis
from thinghub.connection_gateway.adapters.redis_attempts import RedisAttempts
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.sessions import Session
from thinghub.connection_gateway.service.attempts import MAX_WAITING, Attempts

ONE = Device("pk", "one")


@pytest.fixture
async def redis(redis_url: str, prefix: str) -> AsyncIterator[Redis]:
    opened = await open_redis(redis_url, prefix)
    yield opened
    await opened.close()


class Counted(dict[str, int]):
    def __call__(self, event: str) -> None:
        self[event] = self.get(event, 0) + 1


async def only_pk(products: Iterable[str]) -> set[str]:
    return set(products) - {"pk"}


async def nobody_knows(products: Iterable[str]) -> set[str]:
    raise Unavailable("the registry is away")


@asynccontextmanager
async def remembering(
    redis: Redis, count: Counted, per_second: int = 500, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[Attempts]:
    attempts = Attempts(RedisAttempts(redis), only_pk, per_second, clock, lambda: 1234, count)
    attempts.address = "gw:9103"
    task = asyncio.create_task(attempts.run())
    try:
        yield attempts
    finally:
        task.cancel()


def session(device: Device = ONE) -> Session:
    return Session(device, 1, 1, 0, "iot", "10.0.0.7:4711", 1000)


async def remembered(redis: Redis, device: Device = ONE) -> list[tuple[str, str, str]]:
    (history,) = await RedisAttempts(redis).of([device])
    return [(one.kind.value, one.reason, one.client) for one in history.attempts]


async def test_connects_closes_and_refusals_are_remembered(redis: Redis) -> None:
    async with remembering(redis, Counted()) as attempts:
        attempts.accepted([session()])
        attempts.closed(session(), "keep_alive")
        attempts.refused("two&pk", "bad_signature", "10.0.0.9:1")
        attempts.refused(ONE, "superseded", "10.0.0.9:1")
        await attempts.drained(5)
    assert sorted(await remembered(redis)) == [
        ("accepted", "", "10.0.0.7:4711"),
        ("closed", "keep_alive", "10.0.0.7:4711"),
        ("refused", "superseded", "10.0.0.9:1"),
    ]
    assert await remembered(redis, Device("pk", "two")) == [("refused", "bad_signature", "10.0.0.9:1")]


async def test_names_of_no_product_and_names_that_are_none_are_not_written(redis: Redis, prefix: str) -> None:
    async with remembering(redis, Counted()) as attempts:
        attempts.refused("one&madeup", "unknown_device", "10.0.0.9:1")
        attempts.refused("{x}&pk", "bad_user", "10.0.0.9:1")
        attempts.refused("no ampersand", "bad_user", "10.0.0.9:1")
        await attempts.drained(5)
    assert await redis.one(cmd("KEYS", f"{prefix}*")) == []


async def test_unproven_refusals_have_a_small_allowance_of_their_own(redis: Redis, prefix: str) -> None:
    counted = Counted()
    async with remembering(redis, counted, 500, clock=lambda: 7.0) as attempts:
        for number in range(100):
            attempts.refused(f"d{number}&pk", "unknown_device", "10.0.0.9:1")
        for number in range(150):
            attempts.refused(f"e{number}&pk", "bad_signature", "10.0.0.9:1")
        attempts.accepted([session()])
        await attempts.drained(5)
    keys = await redis.one(cmd("KEYS", f"{prefix}refusals:*"))
    assert isinstance(keys, list)
    names = [key.decode() for key in keys]
    assert sum("/d" in name for name in names) == 10
    assert sum("/e" in name for name in names) == 100
    assert counted == {"attempts_forgotten": 140}
    assert await remembered(redis) == [("accepted", "", "10.0.0.7:4711")]


async def test_what_does_not_fit_is_counted_and_nobody_waits(redis: Redis) -> None:
    counted = Counted()
    attempts = Attempts(RedisAttempts(redis), only_pk, 50_000, lambda: 0.0, lambda: 1, counted)
    for _ in range(MAX_WAITING + 7):
        attempts.refused("one&pk", "bad_signature", "10.0.0.9:1")
    assert (len(attempts), counted) == (MAX_WAITING, {"attempts_forgotten": 7})


async def test_without_redis_they_are_forgotten_and_later_ones_remembered(
    private_redis: RedisServer, prefix: str
) -> None:
    counted = Counted()
    redis = await open_redis(private_redis.url, prefix)
    async with remembering(redis, counted) as attempts:
        private_redis.pause()
        try:
            attempts.accepted([session()])
            await attempts.drained(10)
        finally:
            private_redis.resume()
        assert counted == {"attempts_forgotten": 1}
        attempts.closed(session(), "client")
        await attempts.drained(10)
        assert ("closed", "client", "10.0.0.7:4711") in await remembered(redis)
    await redis.close()


async def test_without_the_registry_sessions_are_remembered_all_the_same(redis: Redis) -> None:
    counted = Counted()
    attempts = Attempts(RedisAttempts(redis), nobody_knows, 500, time.monotonic, lambda: 1, counted)
    task = asyncio.create_task(attempts.run())
    attempts.refused("one&pk", "bad_signature", "10.0.0.9:1")
    attempts.accepted([session()])
    await attempts.drained(5)
    task.cancel()
    assert await remembered(redis) == [("accepted", "", "10.0.0.7:4711")]
    assert counted == {"attempts_forgotten": 1}
