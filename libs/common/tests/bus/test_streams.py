"""What only Redis Streams must do itself: bounds, trimming, prefixes, and a fence that holds."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.bus_suite import GROUP, Seen, lag_is, make_bus, numbers, publish_all, running, until
from tests.support.servers import RedisServer
from thinghub.common.bus.port import Bus, BusFull, TopicSpec
from thinghub.common.bus.streams_redis import Call, Connection
from thinghub.common.bus.streams_scripts import ACQUIRE, RELEASE, STORE, Keys

TOPIC = "numbers"


@pytest.fixture
async def streams(redis_url: str, prefix: str) -> AsyncIterator[Bus]:
    bus = make_bus(f"streams+{redis_url}", prefix)
    yield bus
    await bus.close()


async def entries(redis_url: str, prefix: str, partition: int = 0) -> int:
    connection = Connection(redis_url, 1)
    length = int(await connection.one("XLEN", Keys(prefix).log(TOPIC, partition)))
    await connection.close()
    return length


async def test_a_topic_at_its_byte_bound_refuses_until_its_group_has_read(streams: Bus) -> None:
    await streams.ensure_topics([TopicSpec(TOPIC, 1, 3600, (GROUP,), max_bytes=100_000)])
    stored = 100
    await publish_all(streams, TOPIC, [bytes(1000)] * stored)
    with pytest.raises(BusFull):
        await streams.publish(TOPIC, 0, bytes(1000))
    seen = Seen()
    async with running(streams.consume(GROUP, [TOPIC], seen)):
        await lag_is(streams, TOPIC, 0)
        async with asyncio.timeout(30):
            while True:
                try:
                    await streams.publish(TOPIC, 0, b"after")
                    break
                except BusFull:
                    await asyncio.sleep(0.05)
        await until(lambda: seen.values[-1] == b"after")
    assert len(seen.records) == stored + 1


async def test_records_go_when_every_group_has_passed_them(streams: Bus, redis_url: str, prefix: str) -> None:
    await streams.ensure_topics([TopicSpec(TOPIC, 1, 3600, ("one", "two"))])
    await publish_all(streams, TOPIC, numbers(50))
    async with running(streams.consume("one", [TOPIC], Seen())):
        await lag_is(streams, TOPIC, 0, "one")
        await asyncio.sleep(1)
        assert await entries(redis_url, prefix) == 50, "group two has not read them"
        async with running(streams.consume("two", [TOPIC], Seen())):
            async with asyncio.timeout(30):
                while await entries(redis_url, prefix):
                    await asyncio.sleep(0.05)
    assert await streams.lag("one", [TOPIC]) == {TOPIC: 0}
    assert await streams.lag("never seen", [TOPIC]) == {TOPIC: 0}


async def test_records_go_when_they_are_old(streams: Bus, redis_url: str, prefix: str) -> None:
    await streams.ensure_topics([TopicSpec(TOPIC, 1, 1, (GROUP,))])
    await publish_all(streams, TOPIC, numbers(50))
    async with asyncio.timeout(30):
        while await entries(redis_url, prefix) > 10:
            await streams.publish(TOPIC, 0, b"new")
            await asyncio.sleep(0.2)


async def test_a_url_may_carry_a_prefix(redis_url: str, prefix: str) -> None:
    bus = make_bus(f"streams+{redis_url}?prefix={prefix}", "inner.")
    await bus.ensure_topics([TopicSpec(TOPIC, 1, 3600)])
    await bus.publish(TOPIC, 0, b"x")
    await bus.close()
    assert await entries(redis_url, f"{prefix}inner.") == 1


async def test_a_unix_socket_will_do(private_redis: RedisServer, prefix: str) -> None:
    bus, seen = make_bus(f"streams+{private_redis.unix_url}", prefix), Seen()
    await bus.ensure_topics([TopicSpec(TOPIC, 1, 3600)])
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        await bus.publish(TOPIC, 0, b"x")
        await until(lambda: seen.values == [b"x"])
    await bus.close()


async def test_the_fence_refuses_a_former_holder(redis_url: str, prefix: str) -> None:
    connection, keys = Connection(redis_url, 1), Keys(prefix)
    lock, groups = keys.lock(TOPIC, 0, GROUP), keys.groups(TOPIC, 0)

    async def run(script: str, names: tuple[str, ...], *args: str | int) -> object:
        return (await connection.run([Call(script, names, args)]))[0]

    assert await run(ACQUIRE, (lock, groups), GROUP, "first", 60_000) == [1, b"0-0"]
    assert await run(ACQUIRE, (lock, groups), GROUP, "second", 60_000) == []
    assert await run(STORE, (lock, groups), "first:1", GROUP, "7-7") == 1
    await connection.one("DEL", lock)  # it ran out while the first was frozen
    assert await run(ACQUIRE, (lock, groups), GROUP, "second", 60_000) == [2, b"7-7"]
    assert await run(STORE, (lock, groups), "first:1", GROUP, "8-8") == 0
    assert await run(RELEASE, (lock,), "first:1") == 0
    assert await run(ACQUIRE, (lock, groups), GROUP, "second", 60_000) == [3, b"7-7"]
    assert await run(STORE, (lock, groups), "second:2", GROUP, "9-9") == 0, "the same member, an older token"
    await connection.close()
