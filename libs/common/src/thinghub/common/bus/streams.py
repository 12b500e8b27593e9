"""The bus on Redis Streams used as a log, for one Redis server of our own (embedded, edge).

StreamsBus ── StreamsSender   a task; one pipelined round trip at a time
           ── GroupReader     for each consume: locks, membership, offsets
           ── TailReader      for each tail
all on the keys and scripts of streams_scripts
"""

import logging
from collections.abc import Sequence
from typing import Never

from redis.exceptions import RedisError

from thinghub.common.bus.inspection import BusState, TopicState
from thinghub.common.bus.lanes import to_the_end
from thinghub.common.bus.port import BusUnavailable, Done, Handler, TopicMissing, TopicSpec
from thinghub.common.bus.publishing import publish
from thinghub.common.bus.streams_group import GroupReader
from thinghub.common.bus.streams_reading import split_id
from thinghub.common.bus.streams_redis import Connection, Topic, read_topic, unavailable, without_prefix
from thinghub.common.bus.streams_scripts import Keys
from thinghub.common.bus.streams_sender import StreamsSender
from thinghub.common.bus.streams_tail import TailReader

CLOSE_SECONDS = 5.0
COMMAND_CONNECTIONS = 32  # at most; a reader needs two


class StreamsBus:
    """To be made inside the event loop that uses it; `send` may be called from any thread. `session_seconds`: after so
    long a silence a member's partitions go to the others. A topic's `max_bytes` is split evenly over its partitions."""

    def __init__(
        self,
        url: str,
        prefix: str,
        log: logging.Logger,
        *,
        buffer_bytes: int = 64 << 20,
        answer_within: float = 30.0,
        session_seconds: float = 10.0,
    ) -> None:
        self._url = url
        self._log = log
        self._session_seconds = session_seconds
        self._keys = Keys(without_prefix(url)[1] + prefix)
        self._commands = Connection(url, COMMAND_CONNECTIONS)
        self._sending = Connection(url, 1)
        self._sender = StreamsSender(
            self._sending, self._keys, log, buffer_bytes=buffer_bytes, answer_within=answer_within
        )

    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> list[str]:
        try:
            return [spec.name for spec in specs if await self._ensure(spec)]
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable(error) from error

    async def partitions(self, topic: str) -> int:
        return (await self._topic(topic)).partitions

    def send(self, topic: str, partition: int, value: bytes, done: Done, key: bytes = b"") -> None:
        self._sender.send(topic, partition, value, done, key)

    async def publish(self, topic: str, partition: int, value: bytes, key: bytes = b"") -> None:
        await publish(self, topic, partition, value, key)

    async def consume(self, group: str, topics: Sequence[str], handler: Handler, *, max_records: int = 500) -> Never:
        blocking = Connection(self._url, 1)
        try:
            reader = GroupReader(
                group,
                topics,
                handler,
                self._commands,
                blocking,
                self._keys,
                self._log,
                max_records=max_records,
                session_seconds=self._session_seconds,
            )
            await reader.run()
        finally:
            await to_the_end(blocking.close())

    async def tail(self, topics: Sequence[str], handler: Handler) -> Never:
        blocking = Connection(self._url, 1)
        try:
            await TailReader(topics, handler, self._commands, blocking, self._keys, self._log).run()
        finally:
            await to_the_end(blocking.close())

    async def lag(self, group: str, topics: Sequence[str]) -> dict[str, int]:
        return {name: await self._lag(group, await self._topic(name)) for name in topics}

    async def inspect(self, topics: Sequence[str]) -> BusState:
        """These topics as they are; copies are the Redis server's matter. Raises BusUnavailable."""
        found = {}
        for name in topics:
            try:
                topic = await self._topic(name)
            except TopicMissing:
                continue
            found[name] = TopicState(name, topic.partitions, topic.retention_ms // 1000)
        await self.ping()
        return BusState(False, 1, found)

    async def ping(self) -> None:
        try:
            await self._commands.one("PING")
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable(error) from error

    async def close(self) -> None:
        await to_the_end(self._close())

    async def _close(self) -> None:
        await self._sender.close(CLOSE_SECONDS)
        await self._sending.close()
        await self._commands.close()

    async def _topic(self, name: str) -> Topic:
        try:
            return await read_topic(self._commands, self._keys, name)
        except (RedisError, OSError, TimeoutError) as error:
            raise unavailable(error) from error

    async def _ensure(self, spec: TopicSpec) -> bool:
        """Creates, or takes over retention, groups and bound; the number of partitions stays. Streams come first, so
        that a topic that is seen is whole."""
        if any("\n" in group for group in spec.groups):
            raise ValueError("a group's name has no newline")
        key = self._keys.topic(spec.name)
        known = await self._commands.one("HGET", key, "partitions")
        partitions = int(known) if known is not None else spec.partitions
        heads = [self._keys.head(spec.name, partition) for partition in range(partitions)]
        fields = [("ms", 0), ("n", 0), ("total", 0), ("base", 0), ("first", 0)]
        await self._commands.commands([("HSETNX", head, name, value) for head in heads for name, value in fields])
        described = await self._commands.commands(
            [
                ("HSET", key, "retention_ms", spec.retention_s * 1000, "groups", "\n".join(spec.groups)),
                ("HSET", key, "stream_bytes", max(1, spec.max_bytes // partitions)),
                ("HSETNX", key, "partitions", partitions),
            ]
        )
        return bool(described[-1])

    async def _lag(self, group: str, topic: Topic) -> int:
        places = range(topic.partitions)
        try:
            heads = await self._commands.commands(
                [("HMGET", self._keys.head(topic.name, place), "n", "first") for place in places]
            )
            stored = await self._commands.commands(
                [("HGET", self._keys.groups(topic.name, place), group) for place in places]
            )
        except (RedisError, OSError, TimeoutError) as error:
            raise BusUnavailable(f"Redis: {error!r}") from error
        lag = 0
        for (last, first), passed in zip(heads, stored, strict=True):
            lag += max(0, int(last) - max(int(first), split_id(passed)[1] if passed else 0))
        return lag
