"""Commands, keys, slots, URLs and chunks: what needs no server."""

import pytest

from thinghub.common.redis import RedisError, Script, cmd, open_redis, pairs, script
from thinghub.common.redis.node import CHUNK_BYTES, CHUNK_COMMANDS, Call, _chunks
from thinghub.common.redis.slots import key_slot
from thinghub.common.redis.urls import Server, parse_url


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 12739),
        (b"foo", 12182),
        (b"{user1000}.following", 3443),
        (b"x{foo}y{bar}", 12182),
        (b"{}foo", 9500),
    ],
)
def test_slots_are_those_of_the_cluster_specification(key: bytes, slot: int) -> None:
    assert key_slot(key) == slot


@pytest.mark.parametrize(
    ("name", "args", "keys"),
    [
        ("SET", ("k", 1), (0,)),
        ("mget", ("a", "b"), (0, 1)),
        ("PING", (), ()),
        ("XREAD", ("COUNT", 5, "STREAMS", "s1", "s2", "0", "1"), (3, 4)),
        ("EVAL", ("return 1", 2, "a", "b", "c"), (2, 3)),
        ("BLPOP", ("a", "b", 0), (0, 1)),
        ("RENAME", ("a", "b"), (0, 1)),
    ],
)
def test_keys_are_found_in_the_arguments(name: str, args: tuple[str | int, ...], keys: tuple[int, ...]) -> None:
    command = cmd(name, *args)
    assert command.keys == keys
    assert command.key == (args[keys[0]] if keys else None)


def test_a_script_is_sent_by_its_digest() -> None:
    made = Script("return 1")
    command = script(made, ["a", "b"], [1])
    assert command.args == ("e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 2, "a", "b", 1)
    assert (command.key, command.keys) == ("a", (2, 3))


def test_pairs_raises_what_was_refused() -> None:
    with pytest.raises(RedisError):
        pairs(RedisError("WRONGTYPE no"))
    with pytest.raises(TypeError):
        pairs(b"OK")


def test_chunks_are_bounded_in_commands_and_bytes() -> None:
    small = [Call(n, cmd("SET", "k", 1), ("SET", "k", 1)) for n in range(2 * CHUNK_COMMANDS + 1)]
    assert [len(chunk) for chunk in _chunks(small)] == [CHUNK_COMMANDS, CHUNK_COMMANDS, 1]
    large = [Call(n, cmd("SET", "k", 1), ("SET", "k", b"x" * (CHUNK_BYTES // 2))) for n in range(3)]
    assert [len(chunk) for chunk in _chunks(large)] == [1, 1, 1]
    assert list(_chunks([])) == []


def test_urls_name_every_shape() -> None:
    single = parse_url("redis://user:p%40ss@example:6380/3?prefix=a:")
    assert (single.shape, single.servers, single.prefix) == ("single", (Server("example", 6380),), "a:")
    assert (single.login.username, single.login.password, single.login.db) == ("user", "p@ss", 3)
    assert "p@ss" not in repr(single)
    assert parse_url("unix:///run/redis.sock?db=2").servers == (Server("/run/redis.sock", 0),)
    assert parse_url("unix:///run/redis.sock?db=2").login.db == 2
    sentinel = parse_url("redis+sentinel://a,b:1/mine")
    assert (sentinel.servers, sentinel.name) == ((Server("a", 26379), Server("b", 1)), "mine")
    assert parse_url("redis+cluster://[::1]:7000,b").servers == (Server("::1", 7000), Server("b", 6379))
    assert parse_url("rediss://h").login.tls is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://x",
        "redis://:geheim@h:port/0",
        "redis+sentinel://h",
        "redis+cluster://h/3",
        "redis://h/x",
        "redis://h?prefix={a}",
    ],
)
async def test_a_url_that_says_nothing_known_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"Redis|prefix|sentinel") as caught:
        await open_redis(url)
    assert "geheim" not in str(caught.value)
