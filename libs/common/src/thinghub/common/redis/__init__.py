"""Redis: one port, for a single server (alone or behind Sentinel) and for a Cluster. `open_redis` is the way in."""

from thinghub.common.redis.pipeline import Pipeline
from thinghub.common.redis.port import (
    Answer,
    Command,
    NotReplicated,
    Redis,
    RedisError,
    RedisUnavailable,
    Script,
    Wait,
    cmd,
    pairs,
    script,
)
from thinghub.common.redis.routers import router_of
from thinghub.common.redis.urls import parse_url

__all__ = [
    "Answer",
    "Command",
    "NotReplicated",
    "Redis",
    "RedisError",
    "RedisUnavailable",
    "Script",
    "Wait",
    "cmd",
    "open_redis",
    "pairs",
    "script",
]


async def open_redis(url: str, prefix: str = "") -> Redis:
    """The adapter for a URL; it connects at the first use and never raises because a server is away. Raises ValueError
    for a URL that says nothing known.

    redis://[user:password@]host:port/db     rediss:// for TLS                 unix:///path?db=0
    redis+sentinel://[user:password@]host:port,host:port/master-name?db=0      redis+cluster://host:port,host:port
    Everywhere `?prefix=` is put before every key, before `prefix`.
    """
    address = parse_url(url)
    whole = address.prefix + prefix
    if "{" in whole or "}" in whole:
        raise ValueError(f"a key prefix cannot hold braces: {whole!r}")
    return Pipeline(router_of(address), whole)
