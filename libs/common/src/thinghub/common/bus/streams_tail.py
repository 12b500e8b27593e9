"""Reading streams outside of any group: every partition, from now on, positions kept in memory."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Never

from redis.exceptions import RedisError

from thinghub.common.bus.lanes import GRACE, stop_lanes, to_the_end
from thinghub.common.bus.port import Handler, TopicMissing
from thinghub.common.bus.streams_reading import Source, StreamReader, split_id
from thinghub.common.bus.streams_redis import Connection, read_topic
from thinghub.common.bus.streams_scripts import Keys

LOOK_SECONDS = 2.0
MAX_RECORDS = 500


class TailReader:
    def __init__(
        self,
        topics: Sequence[str],
        handler: Handler,
        commands: Connection,
        blocking: Connection,
        keys: Keys,
        log: logging.Logger,
    ) -> None:
        self._name = f"tail {','.join(topics)}"
        self._names = list(topics)
        self._handler = handler
        self._commands = commands
        self._keys = keys
        self._log = log
        self._tailed: list[Source] = []
        self._away = False
        self._reader = StreamReader(self._name, blocking, lambda: self._tailed, log)

    async def run(self) -> Never:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._reader.run())
                tasks.create_task(self._look_after())
        finally:
            lanes = [source.lane for source in self._tailed if source.lane is not None]
            await to_the_end(stop_lanes(lanes, GRACE))
        raise RuntimeError("a reader's tasks do not end")

    async def _look_after(self) -> None:
        while True:
            try:
                await self._look()
                self._away = False
            except (RedisError, OSError, TimeoutError, TopicMissing) as error:
                if not self._away:
                    self._away = True
                    self._log.warning("bus reader %s waits: %r", self._name, error)
            await asyncio.sleep(LOOK_SECONDS if self._tailed else LOOK_SECONDS / 10)

    async def _look(self) -> None:
        """Finds the streams at first; later, that none was made anew, which would put our position past its end."""
        if not self._tailed:
            places = [
                (name, partition)
                for name in self._names
                for partition in range((await read_topic(self._commands, self._keys, name)).partitions)
            ]
            ends = await self._ends(places)
            self._tailed = [
                self._source(topic, partition, end) for (topic, partition), end in zip(places, ends, strict=True)
            ]
            return
        ends = await self._ends([(source.topic, source.partition) for source in self._tailed])
        for source, end in zip(self._tailed, ends, strict=True):
            if split_id(end.encode()) < split_id(source.position.encode()):
                source.position = end

    def _source(self, topic: str, partition: int, position: str) -> Source:
        source = Source(topic, partition, self._keys.log(topic, partition), position, MAX_RECORDS)
        source.open(self._name, self._handler, lambda _: None, self._log)
        return source

    async def _ends(self, places: Sequence[tuple[str, int]]) -> list[str]:
        heads = await self._commands.commands(
            [("HMGET", self._keys.head(topic, partition), "ms", "n") for topic, partition in places]
        )
        return [f"{int(ms or 0)}-{int(n or 0)}" for ms, n in heads]
