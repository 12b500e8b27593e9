"""Reading streams: one blocking XREAD over the streams a reader has now, on a connection of its own, into lanes."""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import RedisError

from thinghub.common.bus.lanes import Lane
from thinghub.common.bus.port import BusRecord, Handler
from thinghub.common.bus.streams_redis import Connection

BLOCK_MS = 250  # at most so long until a new stream joins the reading
BLOCK_BUSY_MS = 10  # while a full lane may take records again at any moment
READ_BYTES = 1 << 20  # aimed at, for one stream; XREAD itself counts entries only
FIRST_COUNT = 4
PAUSE_FIRST, PAUSE_LAST = 0.1, 2.0

_ID = re.compile(rb"(\d+)-(\d+)")


class Source:
    """A stream being read. `position` is the id of the last entry handed to the lane."""

    def __init__(self, topic: str, partition: int, key: str, position: str, max_records: int) -> None:
        self.topic = topic
        self.partition = partition
        self.key = key
        self.position = position
        self.lane: Lane | None = None
        self._max_records = max_records
        self._count = min(FIRST_COUNT, max_records)
        self._ids: dict[int, str] = {}  # of the last records of batches in the lane, by offset

    @property
    def ready(self) -> bool:
        return self.lane is not None and not self.lane.full

    @property
    def count(self) -> int:
        return self._count

    def open(self, name: str, handler: Handler, passed: Callable[[str], None], log: logging.Logger) -> None:
        """Starts the lane; `passed` gets the id of the last entry of each batch whose handler returned."""
        label = f"{name} {self.topic}/{self.partition}"
        self.lane = Lane(label, handler, lambda last: passed(self._ids.pop(last.offset)), log)

    def take(self, entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> None:
        records = [self._record(name, fields) for name, fields in entries]
        self.position = entries[-1][0].decode()
        self._ids[records[-1].offset] = self.position
        size = sum(len(record.value) + len(record.key) for record in records) // len(records) + 1
        self._count = max(1, min(READ_BYTES // size, 4 * self._count, self._max_records))
        if self.lane is not None:
            self.lane.put(records)

    def _record(self, name: bytes, fields: dict[bytes, bytes]) -> BusRecord:
        ms, number = split_id(name)
        return BusRecord(self.topic, self.partition, number, fields[b"k"], fields[b"v"], ms)


def split_id(name: bytes) -> tuple[int, int]:
    match = _ID.fullmatch(name)
    if match is None:
        raise ValueError(f"not an entry id: {name!r}")
    return int(match[1]), int(match[2])


class StreamReader:
    """Reads whatever `sources` gives at each turn, until cancelled. Outages are waited out."""

    def __init__(
        self, name: str, connection: Connection, sources: Callable[[], Sequence[Source]], log: logging.Logger
    ) -> None:
        self._name = name
        self._connection = connection
        self._sources = sources
        self._log = log
        self._away = False

    async def run(self) -> None:
        pause = PAUSE_FIRST
        while True:
            try:
                await self._turn()
            except (RedisError, OSError, TimeoutError) as error:
                self._report(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_LAST)
            else:
                pause = PAUSE_FIRST

    async def _turn(self) -> None:
        sources = self._sources()
        ready = [source for source in sources if source.ready]
        if not ready:
            await asyncio.sleep(BLOCK_BUSY_MS / 1000 if sources else BLOCK_MS / 1000)
            return
        block = BLOCK_MS if len(ready) == len(sources) else BLOCK_BUSY_MS
        # COUNT is for each stream: the most careful one decides
        count = min(source.count for source in ready)
        keys, positions = [s.key for s in ready], [s.position for s in ready]
        answer = await self._connection.one("XREAD", "COUNT", count, "BLOCK", block, "STREAMS", *keys, *positions)
        if self._away:
            self._away = False
            self._log.info("bus reader %s goes on", self._name)
        by_key = {source.key: source for source in ready}
        for key, entries in _streams(answer):
            source = by_key[key.decode()]
            if entries and source in self._sources():  # it may have been lost while we waited
                source.take(entries)

    def _report(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            self._log.warning("bus reader %s stopped, trying again: %r", self._name, error)


def _streams(answer: Any) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """What XREAD answered, as redis-py gives it: pairs of a stream and its entries, or nothing."""
    return [(key, entries) for key, entries in answer or []]
