"""What an operator asks of Redis: how each master that holds our keys is set up, and what its clock says."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from thinghub.common.redis.node import Node
from thinghub.common.redis.port import Answer, RedisError, RedisUnavailable, pairs
from thinghub.common.redis.routers import router_of
from thinghub.common.redis.urls import Shape, parse_url


@dataclass(frozen=True, slots=True)
class RedisState:
    """`fsync` and `min_replicas` are None where the server does not tell (CONFIG is refused). `memory_bound` is 0
    without one; `clock_ahead_s` is the server's clock less ours, give or take `clock_error_s`."""

    server: str
    shape: Shape
    version: tuple[int, int, int]
    policy: str
    memory_used: int
    memory_bound: int
    append_only: bool
    fsync: str | None
    replicas: int
    min_replicas: int | None
    clock_ahead_s: float
    clock_error_s: float


async def inspect_redis(url: str, deadline: float = 5.0) -> list[RedisState]:
    """Every master. Raises RedisUnavailable, and ValueError for a URL that says nothing known."""
    address = parse_url(url)
    router = router_of(address)
    until = asyncio.get_running_loop().time() + deadline
    try:
        nodes = await router.every(until)
        return list(await asyncio.gather(*(_state(node, address.shape, until) for node in nodes)))
    finally:
        router.close()


async def _state(node: Node, shape: Shape, until: float) -> RedisState:
    said = _info(_heard(await node.exchange(("INFO",), until)))
    fsync = await _setting(node, "appendfsync", until)
    least = await _setting(node, "min-replicas-to-write", until)
    begun = time.time()
    seconds, micros = _numbers(_heard(await node.exchange(("TIME",), until)))
    ended = time.time()
    return RedisState(
        server=str(node.server),
        shape=shape,
        version=_version(said.get("redis_version", "")),
        policy=said.get("maxmemory_policy", ""),
        memory_used=int(said.get("used_memory", "0")),
        memory_bound=int(said.get("maxmemory", "0")),
        append_only=said.get("aof_enabled") == "1",
        fsync=fsync,
        replicas=int(said.get("connected_slaves", "0")),
        min_replicas=None if least is None else int(least),
        clock_ahead_s=seconds + micros / 1e6 - (begun + ended) / 2,
        clock_error_s=(ended - begun) / 2,
    )


async def _setting(node: Node, name: str, until: float) -> str | None:
    answer = await node.exchange(("CONFIG", "GET", name), until)
    if isinstance(answer, RedisUnavailable):
        raise answer
    value = None if isinstance(answer, RedisError) else pairs(answer).get(name.encode())
    return None if value is None else value.decode()


def _heard(answer: Answer) -> Answer:
    if isinstance(answer, RedisError):
        raise answer if isinstance(answer, RedisUnavailable) else RedisUnavailable(str(answer))
    return answer


def _info(answer: Answer) -> Mapping[str, str]:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else ""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))


def _numbers(answer: Answer) -> tuple[int, int]:
    if not isinstance(answer, list):
        raise RedisUnavailable("TIME was not answered as Redis does")
    return int(answer[0]), int(answer[1])


def _version(text: str) -> tuple[int, int, int]:
    parts = [int(part) if part.isdecimal() else 0 for part in text.split(".")[:3]]
    major, minor, patch = [*parts, 0, 0, 0][:3]
    return major, minor, patch
