"""What the port promises, on a single server and on a cluster of three masters with replicas."""

import asyncio
import math

import pytest

from tests.support.servers import RedisCluster, RedisServer
from thinghub.common.redis import (
    NotReplicated,
    Redis,
    RedisError,
    RedisUnavailable,
    Script,
    Wait,
    cmd,
    open_redis,
    pairs,
    script,
)

APPEND = Script("redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LLEN', KEYS[1])")
MOVE = Script("local v = redis.call('GET', KEYS[1]) redis.call('SET', KEYS[2], v) redis.call('DEL', KEYS[1]) return v")


async def test_answers_come_in_the_order_of_the_commands(store: Redis) -> None:
    keys = [f"key:{number}" for number in range(500)]
    assert await store.run([cmd("SET", key, number) for number, key in enumerate(keys)]) == [b"OK"] * 500
    assert await store.run([cmd("GET", key) for key in keys]) == [b"%d" % number for number in range(500)]


async def test_commands_on_one_slot_are_executed_in_order(store: Redis) -> None:
    commands = [cmd("RPUSH", f"list:{{{number % 7}}}", number) for number in range(700)]
    await store.run(commands)
    for slot in range(7):
        assert await store.one(cmd("LRANGE", f"list:{{{slot}}}", 0, -1)) == [b"%d" % n for n in range(slot, 700, 7)]


async def test_a_refused_command_fails_alone(store: Redis) -> None:
    before, wrong, after = await store.run([cmd("SET", "a", 1), cmd("LPUSH", "a", 1), cmd("GET", "a")])
    assert (before, after) == (b"OK", b"1")
    assert isinstance(wrong, RedisError)
    assert wrong.code == "WRONGTYPE"
    with pytest.raises(RedisError, match="WRONGTYPE"):
        await store.one(cmd("LPUSH", "a", 1))


async def test_values_are_bytes_and_numbers_keep_their_precision(store: Redis) -> None:
    blob = bytes(range(256)) * 10
    await store.one(cmd("HSET", "h", "blob", blob, "pi", math.pi, "big", 2**53 + 1, "text", "é"))
    found = pairs(await store.one(cmd("HGETALL", "h")))
    assert found == {b"blob": blob, b"pi": repr(math.pi).encode(), b"big": b"9007199254740993", b"text": "é".encode()}
    assert pairs(await store.one(cmd("HGETALL", "absent"))) == {}
    assert await store.one(cmd("GET", "absent")) is None


async def test_a_script_is_loaded_where_it_is_missing(store: Redis) -> None:
    keys = [f"queue:{number}" for number in range(50)]
    assert await store.run([script(APPEND, [key], ["x"]) for key in keys]) == [1] * 50
    assert await store.run([script(APPEND, [key], ["x"]) for key in keys]) == [2] * 50


async def test_scripts_survive_script_flush(
    store: Redis, shape: str, redis_server: RedisServer, request: pytest.FixtureRequest
) -> None:
    keys = [f"queue:{number}" for number in range(50)]
    await store.run([script(APPEND, [key], ["x"]) for key in keys])
    servers = [redis_server]
    if shape == "cluster":
        cluster: RedisCluster = request.getfixturevalue("redis_cluster")
        servers = cluster.nodes[:3]
    for server in servers:
        with server.client() as client:
            client.script_flush()
    assert await store.run([script(APPEND, [key], ["x"]) for key in keys]) == [2] * 50


async def test_keys_with_one_hash_tag_work_in_one_command_and_script(store: Redis) -> None:
    await store.run([cmd("SET", "a:{pk/dn}", 1), cmd("SET", "b:{pk/dn}", 2)])
    assert await store.one(cmd("MGET", "a:{pk/dn}", "b:{pk/dn}", "c:{pk/dn}")) == [b"1", b"2", None]
    assert await store.one(script(MOVE, ["a:{pk/dn}", "c:{pk/dn}"])) == b"1"
    assert await store.one(cmd("DEL", "a:{pk/dn}", "b:{pk/dn}", "c:{pk/dn}")) == 2


async def test_the_prefix_is_before_every_key_and_in_no_value(shape_url: str, store: Redis, prefix: str) -> None:
    await store.run([cmd("SET", "k{1}", "v"), script(APPEND, ["l{1}"], ["v"])])
    bare = await open_redis(f"{shape_url}?prefix={prefix}")
    try:
        assert await bare.one(cmd("MGET", "k{1}")) == [b"v"]
        assert await bare.one(cmd("LRANGE", "l{1}", 0, -1)) == [b"v"]
    finally:
        await bare.close()


async def test_a_batch_of_any_size_is_answered(store: Redis) -> None:
    blob = b"x" * 20_000
    assert await store.run([cmd("SET", f"big:{number}", blob) for number in range(1000)], 20.0) == [b"OK"] * 1000
    assert await store.run([cmd("STRLEN", f"big:{n % 1000}") for n in range(20_000)], 20.0) == [len(blob)] * 20_000
    await store.run([cmd("DEL", f"big:{number}") for number in range(1000)], 20.0)


async def test_many_callers_get_their_own_answers(store: Redis) -> None:
    async def caller(number: int) -> None:
        commands = [
            command for n in range(20) for command in (cmd("SET", f"{number}:{n}", n), cmd("GET", f"{number}:{n}"))
        ]
        assert await store.run(commands) == [answer for n in range(20) for answer in (b"OK", b"%d" % n)]

    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(caller(number))


async def test_a_cancelled_caller_takes_no_answer_of_another(store: Redis) -> None:
    await store.run([cmd("SET", f"k{number}", number) for number in range(50)])
    cancelled = [asyncio.create_task(store.run([cmd("GET", f"k{n}") for n in range(50)])) for _ in range(20)]
    await asyncio.sleep(0)
    for number, task in enumerate(cancelled):
        if number % 2:
            task.cancel()
    assert await store.run([cmd("GET", f"k{number}") for number in range(50)]) == [b"%d" % n for n in range(50)]
    await asyncio.gather(*cancelled, return_exceptions=True)


async def test_a_command_that_blocks_holds_up_nobody(store: Redis) -> None:
    blocked = asyncio.create_task(store.run([cmd("BLPOP", "empty", 1)], 3.0, blocking=True))
    await asyncio.sleep(0.05)
    began = asyncio.get_running_loop().time()
    await store.one(cmd("SET", "empty2{empty}", 1))
    assert asyncio.get_running_loop().time() - began < 0.5
    assert await blocked == [None]


async def test_commands_without_a_key_are_answered(store: Redis) -> None:
    assert await store.run([cmd("PING"), cmd("ECHO", "x"), cmd("PING")]) == [b"PONG", b"x", b"PONG"]
    await store.ping()


async def test_servers_are_the_same_until_something_happens_to_them(store: Redis, shape: str) -> None:
    servers = await store.servers()
    assert len(servers) == (3 if shape == "cluster" else 1)
    assert all(one.endswith(" master") for one in servers)
    assert await store.servers() == servers


async def test_an_empty_batch_costs_nothing(store: Redis) -> None:
    assert await store.run([]) == []


async def test_writes_that_no_replica_confirmed_are_told(store: Redis, shape: str) -> None:
    commands = [cmd("SET", f"durable:{number}", number) for number in range(20)]
    confirmed = await store.run(commands, wait=Wait(1 if shape == "cluster" else 0, 1500))
    assert confirmed == [b"OK"] * 20
    answers = await store.run([*commands, cmd("LPUSH", "durable:1", 1)], wait=Wait(3, 100))
    assert all(isinstance(answer, NotReplicated) and answer.answer == b"OK" for answer in answers[:-1])
    assert isinstance(answers[-1], RedisError)
    assert answers[-1].code == "WRONGTYPE"


async def test_a_closed_port_answers_that_it_is_closed(shape_url: str) -> None:
    redis = await open_redis(shape_url)
    await redis.ping()
    await redis.close()
    (answer,) = await redis.run([cmd("GET", "x")], deadline=0.3)
    assert isinstance(answer, RedisUnavailable)
    assert answer.executed is False
