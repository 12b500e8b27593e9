"""Connections of the Streams bus, and what it asks Redis about topics."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError

from thinghub.common.bus.port import BusUnavailable, TopicMissing
from thinghub.common.bus.streams_scripts import Keys

ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a script."""

    script: str
    keys: tuple[str, ...]
    args: tuple[bytes | str | int, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as its hash describes it. `stream_bytes` is the bound of one partition."""

    name: str
    partitions: int
    retention_ms: int
    groups: tuple[str, ...]
    stream_bytes: int


class Connection:
    """A client with connections of its own (`size` at most). Answers are bytes; nothing is tried twice behind our back:
    a caller knows better what may be repeated. Raises RedisError (connection lost, refused, late) as it comes."""

    def __init__(self, url: str, size: int) -> None:
        self._client = redis.asyncio.Redis.from_url(
            without_prefix(url)[0],
            max_connections=size,
            protocol=2,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._digests: dict[str, str] = {}

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """The calls in one round trip, in order; an answer may be a ResponseError."""
        pipeline = self._client.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command("EVALSHA", self._digest(call.script), len(call.keys), *call.keys, *call.args)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        _heed_cancellation()
        for answer in answers:
            if isinstance(answer, (RedisConnectionError, ReadOnlyError)):  # it loads its data, or is not the master
                raise answer
        unknown = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            for script in {calls[index].script for index in unknown}:
                await self._client.script_load(script)
            again = await self.run([calls[index] for index in unknown])
            for index, answer in zip(unknown, again, strict=True):
                answers[index] = answer
        return answers

    async def commands(self, commands: Sequence[tuple[bytes | str | int, ...]]) -> list[Any]:
        """Plain commands in one round trip; the first error is raised."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await pipeline.execute()
        _heed_cancellation()
        return answers

    async def one(self, *command: bytes | str | int) -> Any:
        answer: Any = await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        _heed_cancellation()
        return answer

    async def close(self) -> None:
        await self._client.aclose()

    def _digest(self, script: str) -> str:
        if script not in self._digests:
            self._digests[script] = hashlib.sha1(script.encode()).hexdigest()
        return self._digests[script]


def _heed_cancellation() -> None:
    """redis-py sends with asyncio.wait_for, which before Python 3.12 loses a cancellation that comes in the moment the
    sending ends; a reader that loops would then never end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def without_prefix(url: str) -> tuple[str, str]:
    """A URL may carry `?prefix=`, which is ours and not the client's: gives the URL without it, and the prefix."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    prefix = query.pop("prefix", "")
    return urlunsplit(parts._replace(query=urlencode(query))), prefix


async def read_topic(connection: Connection, keys: Keys, name: str) -> Topic:
    """Raises TopicMissing, RedisError."""
    answer = await connection.one("HMGET", keys.topic(name), "partitions", "retention_ms", "groups", "stream_bytes")
    if answer[0] is None:
        raise TopicMissing(f"topic {name} does not exist; `thinghub admin topics` creates it", topic=name)
    groups = tuple(answer[2].decode().split("\n")) if answer[2] else ()
    return Topic(name, int(answer[0]), int(answer[1]), groups, int(answer[3]))


def unavailable(error: RedisError | OSError | TimeoutError) -> BusUnavailable:
    return BusUnavailable(f"Redis: {error!r}")
