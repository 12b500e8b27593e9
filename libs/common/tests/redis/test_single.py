"""One server that dies, freezes and comes back."""

import asyncio

import pytest

from libs.common.tests.redis.counting import Counting, until_answered
from tests.support.servers import RedisServer
from thinghub.common.redis import RedisError, RedisUnavailable, cmd, open_redis


async def test_a_server_that_is_away_costs_the_deadline_and_says_not_executed() -> None:
    redis = await open_redis("redis://127.0.0.1:1/0")
    began = asyncio.get_running_loop().time()
    answers = await redis.run([cmd("SET", "a", 1), cmd("GET", "b")], deadline=0.3)
    assert asyncio.get_running_loop().time() - began < 0.6
    for answer in answers:
        assert isinstance(answer, RedisUnavailable)
        assert answer.executed is False
    with pytest.raises(RedisUnavailable, match=r"127\.0\.0\.1:1"):
        await redis.ping(deadline=0.1)
    await redis.close()


@pytest.mark.parametrize("unix", [False, True])
async def test_killed_and_restarted_it_heals_and_no_answer_is_lost(private_redis: RedisServer, unix: bool) -> None:
    redis = await open_redis(private_redis.unix_url if unix else private_redis.url)
    counting = Counting(redis, [f"count:{number}" for number in range(50)])
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(counting.run())
            for _ in range(3):
                await asyncio.sleep(0.2)
                await asyncio.to_thread(private_redis.kill)
                await asyncio.sleep(0.7)
                await asyncio.to_thread(private_redis.start)
                await until_answered(redis)
            await asyncio.sleep(0.1)
            counting.stopping = True
        assert counting.refused
        await counting.check()
    finally:
        await redis.close()


async def test_a_call_waits_out_a_restart_within_its_deadline(private_redis: RedisServer) -> None:
    redis = await open_redis(private_redis.url)
    await redis.one(cmd("SET", "a", 1))
    await asyncio.to_thread(private_redis.kill)
    await asyncio.sleep(0.05)
    call = asyncio.create_task(redis.one(cmd("GET", "a"), deadline=10.0))
    await asyncio.sleep(0.3)
    await asyncio.to_thread(private_redis.start)
    assert await call == b"1"
    await redis.close()


async def test_a_restart_and_a_change_of_role_make_another_server(private_redis: RedisServer) -> None:
    redis = await open_redis(private_redis.url)
    first = await redis.servers()
    await asyncio.to_thread(private_redis.restart)
    second = await redis.servers()
    assert second != first
    await redis.one(cmd("REPLICAOF", "127.0.0.1", 1))
    assert await redis.servers() != second
    await redis.one(cmd("REPLICAOF", "NO", "ONE"))
    assert await redis.servers() != second
    await redis.close()


async def test_a_frozen_server_costs_no_more_than_the_deadline(private_redis: RedisServer) -> None:
    redis = await open_redis(private_redis.url)
    counting = Counting(redis, ["count"], deadline=0.3)
    try:
        await redis.one(cmd("SET", "other", 1))
        async with asyncio.TaskGroup() as group:
            group.create_task(counting.run())
            await asyncio.sleep(0.1)
            private_redis.pause()
            began = asyncio.get_running_loop().time()
            (answer,) = await redis.run([cmd("GET", "other")], deadline=0.5)
            assert 0.4 < asyncio.get_running_loop().time() - began < 0.9
            assert isinstance(answer, RedisUnavailable)
            assert answer.executed is None
            await asyncio.sleep(1.5)
            private_redis.resume()
            assert await until_answered(redis) < 5
            await asyncio.sleep(0.1)
            counting.stopping = True
        await counting.check()
    finally:
        private_redis.resume()
        await redis.close()


async def test_a_short_deadline_costs_others_nothing(private_redis: RedisServer) -> None:
    redis = await open_redis(private_redis.url)
    await redis.ping()
    private_redis.pause()
    patient = asyncio.create_task(redis.one(cmd("SET", "a", 1), deadline=5.0))
    (hasty,) = await redis.run([cmd("GET", "a")], deadline=0.1)
    private_redis.resume()
    assert isinstance(hasty, RedisUnavailable)
    assert await patient == b"OK"
    assert await redis.one(cmd("GET", "a")) == b"1"
    await redis.close()


async def test_out_of_memory_is_an_answer(private_redis: RedisServer) -> None:
    redis = await open_redis(private_redis.url)
    await redis.one(cmd("CONFIG", "SET", "maxmemory", 1))
    with pytest.raises(RedisError) as caught:
        await redis.one(cmd("SET", "a", 1))
    assert caught.value.code == "OOM"
    await redis.close()


async def test_a_wrong_password_is_told_and_not_shown(private_redis: RedisServer) -> None:
    with private_redis.client() as client:
        client.config_set("requirepass", "right")
    wrong = await open_redis(f"redis://:geheim@{private_redis.address}/0")
    with pytest.raises(RedisUnavailable) as caught:
        await wrong.ping(deadline=0.3)
    assert "WRONGPASS" in str(caught.value)
    assert "geheim" not in str(caught.value)
    right = await open_redis(f"redis://:right@{private_redis.address}/1")
    await right.one(cmd("SET", "a", 1))
    await wrong.close()
    await right.close()
