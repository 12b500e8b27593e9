"""A cluster whose masters die and freeze, and whose slots move."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from libs.common.tests.redis.counting import Counting, until_answered
from tests.support.servers import RedisCluster, RedisServer
from thinghub.common.redis import Redis, RedisUnavailable, Wait, cmd, open_redis

KEYS = [f"count:{number}" for number in range(30)]


@pytest.fixture
async def cluster_store(private_cluster: RedisCluster, prefix: str) -> AsyncIterator[Redis]:
    redis = await open_redis(private_cluster.url, prefix)
    yield redis
    await redis.close()
    await asyncio.to_thread(private_cluster.heal)


async def test_a_killed_master_is_replaced_and_no_answer_is_lost(
    private_cluster: RedisCluster, cluster_store: Redis, prefix: str
) -> None:
    counting = Counting(cluster_store, KEYS, Wait(1, 400))
    servers = await cluster_store.servers()
    async with asyncio.TaskGroup() as group:
        group.create_task(counting.run())
        await asyncio.sleep(0.5)
        await asyncio.to_thread(private_cluster.failover, prefix + KEYS[0])
        await until_answered(cluster_store)
        assert await cluster_store.servers() != servers
        counting.wait = None  # the promoted master has no replica yet
        await asyncio.sleep(0.2)
        counting.stopping = True
    assert sum(counting.acknowledged.values()) > 100
    await counting.check()


async def test_a_frozen_master_is_replaced_and_the_others_serve_on(
    private_cluster: RedisCluster, cluster_store: Redis, prefix: str
) -> None:
    frozen = await asyncio.to_thread(private_cluster.master_of, prefix + KEYS[0])
    others = [key for key in KEYS if await asyncio.to_thread(private_cluster.master_of, prefix + key) is not frozen]
    assert await cluster_store.run([cmd("SET", key, 1) for key in KEYS], wait=Wait(1)) == [b"OK"] * len(KEYS)
    frozen.pause()
    began = asyncio.get_running_loop().time()
    answers = await cluster_store.run([cmd("GET", key) for key in KEYS], deadline=0.5)
    assert asyncio.get_running_loop().time() - began < 1.0
    assert isinstance(answers[0], RedisUnavailable)
    assert all(answer == b"1" for key, answer in zip(KEYS, answers, strict=True) if key in others)
    assert await cluster_store.one(cmd("GET", KEYS[0]), deadline=20.0) == b"1"
    frozen.resume()
    assert await cluster_store.run([cmd("INCR", key) for key in KEYS], deadline=5.0) == [2] * len(KEYS)


async def test_a_slot_that_moves_is_followed_and_its_commands_keep_their_order(
    private_cluster: RedisCluster, cluster_store: Redis, prefix: str
) -> None:
    there, absent = "there:{moving}", "absent:{moving}"
    await cluster_store.one(cmd("RPUSH", there, 0))
    source = await asyncio.to_thread(private_cluster.master_of, prefix + there)
    target = next(node for node in await _masters(private_cluster) if node is not source)
    slot = await asyncio.to_thread(_begin_move, source, target, prefix + there)
    # ASK: the key that is still there is served by the source, the absent one by the target
    asked = await cluster_store.run([cmd("RPUSH", there, 1), cmd("RPUSH", absent, 1), cmd("RPUSH", absent, 2)])
    assert asked == [2, 1, 2]
    # TRYAGAIN: keys on both sides at once are refused until the move is over
    both = asyncio.create_task(cluster_store.one(cmd("EXISTS", there, absent), deadline=10.0))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(_end_move, private_cluster, source, target, slot, prefix + there)
    assert await both == 2
    # MOVED
    assert await cluster_store.run([cmd("RPUSH", there, 2), cmd("LRANGE", there, 0, -1)]) == [3, [b"0", b"1", b"2"]]
    assert await cluster_store.one(cmd("LRANGE", absent, 0, -1)) == [b"1", b"2"]


async def test_counts_survive_slots_that_move_under_them(
    private_cluster: RedisCluster, cluster_store: Redis, prefix: str
) -> None:
    counting = Counting(cluster_store, KEYS[:10], deadline=2.0)
    async with asyncio.TaskGroup() as group:
        group.create_task(counting.run())
        for key in KEYS[:5]:
            await asyncio.sleep(0.05)
            source = await asyncio.to_thread(private_cluster.master_of, prefix + key)
            target = next(node for node in await _masters(private_cluster) if node is not source)
            slot = await asyncio.to_thread(_begin_move, source, target, prefix + key)
            await asyncio.to_thread(_end_move, private_cluster, source, target, slot, prefix + key)
        await asyncio.sleep(0.1)
        counting.stopping = True
    assert counting.refused == 0
    assert counting.unknown == {}
    await counting.check()


async def test_one_seed_is_enough_and_a_dead_one_is_passed_over(private_cluster: RedisCluster, prefix: str) -> None:
    for seeds in (private_cluster.nodes[4].address, f"127.0.0.1:1,{private_cluster.nodes[0].address}"):
        redis = await open_redis(f"redis+cluster://{seeds}", prefix)
        assert await redis.run([cmd("SET", key, 1) for key in KEYS], 5.0) == [b"OK"] * len(KEYS)
        await redis.close()


async def test_a_cluster_that_is_away_costs_the_deadline() -> None:
    redis = await open_redis("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    began = asyncio.get_running_loop().time()
    (answer,) = await redis.run([cmd("GET", "x")], deadline=0.3)
    assert asyncio.get_running_loop().time() - began < 0.6
    assert isinstance(answer, RedisUnavailable)
    assert answer.executed is False
    await redis.close()


async def _masters(cluster: RedisCluster) -> list[RedisServer]:
    masters = [await asyncio.to_thread(cluster.master_of, f"{{{number}}}") for number in range(40)]
    return list(dict.fromkeys(masters))


def _begin_move(source: RedisServer, target: RedisServer, key: str) -> int:
    with source.client() as old, target.client() as new:
        slot = int(old.execute_command("CLUSTER", "KEYSLOT", key))
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", old.execute_command("CLUSTER", "MYID"))
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", new.execute_command("CLUSTER", "MYID"))
    return slot


def _end_move(cluster: RedisCluster, source: RedisServer, target: RedisServer, slot: int, key: str) -> None:
    with source.client() as old, target.client() as new:
        owner = new.execute_command("CLUSTER", "MYID")
        old.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
        new.execute_command("CLUSTER", "SETSLOT", slot, "NODE", owner)
        old.execute_command("CLUSTER", "SETSLOT", slot, "NODE", owner)
