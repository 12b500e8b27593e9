"""Sending to Redis Streams: whatever came while one round trip was under way leaves together with the next.

With `appendfsync always` each round trip is one fsync, so the batch is a group commit. A batch that got no answer is
sent again under its number, which the script remembers: what was stored is not stored twice.
"""

import asyncio
import contextlib
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from thinghub.common.bus.port import MAX_RECORD_BYTES, BusFull, BusUnavailable, Done, RecordTooLarge, TopicMissing
from thinghub.common.bus.streams_redis import ANSWER_SECONDS, Call, Connection, Topic, read_topic, unavailable
from thinghub.common.bus.streams_scripts import APPEND, TRIM, Keys

ROUND_BYTES = 4 << 20
ROUND_RECORDS = 2000
TOPIC_SECONDS = 10.0  # how long a topic's description is trusted
TRIM_SECONDS = 1.0
FULL_SECONDS = 0.2  # a stream at its bound refuses at once for so long before it is asked again
RETRY_FIRST, RETRY_LAST = 0.05, 1.0

Stream = tuple[str, int]


@dataclass(slots=True)
class _Sent:
    stream: Stream
    key: bytes
    value: bytes
    done: Done
    size: int
    deadline: float


@dataclass(slots=True)
class _Round:
    """Records that leave together; `left` are those without an answer yet, by stream."""

    number: int
    deadline: float
    left: dict[Stream, list[_Sent]]


class StreamsSender:
    """`send` as the port says. At most `buffer_bytes` wait in all, an eighth of it (but 2 MiB) for one partition."""

    def __init__(
        self, connection: Connection, keys: Keys, log: logging.Logger, *, buffer_bytes: int, answer_within: float
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._log = log
        self._limit = buffer_bytes
        self._stream_limit = max(buffer_bytes // 8, 2 << 20)
        # the last attempt before the deadline may take this long to fail
        self._answer_within = max(answer_within - ANSWER_SECONDS, answer_within / 2)
        self._name = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._queue: deque[_Sent] = deque()
        self._bytes = 0
        self._stream_bytes: dict[Stream, int] = {}
        self._full_until: dict[Stream, float] = {}
        self._closed = False
        self._away = False
        self._rounds = 0
        self._topics: dict[str, tuple[Topic, float]] = {}
        self._trimmed: dict[Stream, float] = {}
        self._loop = asyncio.get_running_loop()
        self._arrived = asyncio.Event()
        self._task = self._loop.create_task(self._run(), name="bus streams sender")

    def send(self, topic: str, partition: int, value: bytes, done: Done, key: bytes) -> None:
        size = len(key) + len(value)
        if size > MAX_RECORD_BYTES:
            raise RecordTooLarge(f"a record of {size} bytes is over {MAX_RECORD_BYTES}", topic=topic)
        stream, now = (topic, partition), time.monotonic()
        with self._lock:
            if self._closed:
                raise BusUnavailable("the bus is closed")
            self._check_room(stream, size, now)
            idle = not self._queue
            self._queue.append(_Sent(stream, key, value, done, size, now + self._answer_within))
            self._bytes += size
            self._stream_bytes[stream] = self._stream_bytes.get(stream, 0) + size
        if idle:
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def close(self, seconds: float) -> None:
        """Waits for the answers to what was sent, then fails the rest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._bytes:
                    await asyncio.sleep(0.01)
        with self._lock:
            self._closed = True
        self._task.cancel()
        await asyncio.wait({self._task})
        while self._queue:
            self._finish(self._queue.popleft(), BusUnavailable("the bus was closed"))

    def _check_room(self, stream: Stream, size: int, now: float) -> None:
        if self._bytes + size > self._limit or self._stream_bytes.get(stream, 0) + size > self._stream_limit:
            raise BusFull("too much waits for Redis's answer", topic=stream[0])
        if self._full_until.get(stream, 0) > now:
            raise BusFull("the topic is at its byte bound: its readers are behind", topic=stream[0])

    # In the event loop

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while due := self._next_round():
                await self._store(due)

    def _next_round(self) -> _Round | None:
        left: dict[Stream, list[_Sent]] = {}
        records = size = 0
        deadline = float("inf")
        with self._lock:
            while self._queue and records < ROUND_RECORDS and size < ROUND_BYTES:
                sent = self._queue.popleft()
                records, size = records + 1, size + sent.size
                deadline = min(deadline, sent.deadline)
                left.setdefault(sent.stream, []).append(sent)
        if not left:
            return None
        self._rounds += 1
        return _Round(self._rounds, deadline, left)

    async def _store(self, due: _Round) -> None:
        """Returns when every record of the round had its answer."""
        pause = RETRY_FIRST
        try:
            while due.left:
                try:
                    await self._round_trip(due)
                except (RedisError, OSError, TimeoutError) as error:
                    self._report_away(error)
                    self._expire_queue()
                    if time.monotonic() + pause >= due.deadline:
                        self._fail_round(due, unavailable(error))
                        return
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, RETRY_LAST)
        except asyncio.CancelledError:
            self._fail_round(due, BusUnavailable("the bus was closed"))
            raise

    async def _round_trip(self, due: _Round) -> None:
        calls: list[Call] = []
        places: list[tuple[int, Stream]] = []
        for stream in list(due.left):
            topic = await self._topic(stream[0])
            if topic is None or not 0 <= stream[1] < topic.partitions:
                missing = TopicMissing(f"topic {stream[0]} has no partition {stream[1]}", topic=stream[0])
                self._fail(due.left.pop(stream), missing)
                continue
            self._trim_if_due(calls, topic, stream[1])
            places.append((len(calls), stream))
            calls.append(self._append(topic, stream[1], due.number, due.left[stream]))
        answers = await self._connection.run(calls) if calls else []
        self._recovered()
        for index, stream in places:
            self._settle(stream, due.left.pop(stream), answers[index])

    def _append(self, topic: Topic, partition: int, number: int, records: Sequence[_Sent]) -> Call:
        keys = self._keys
        once = keys.once(topic.name, partition, self._name)
        words = [word for sent in records for word in (sent.key, sent.value)]
        return Call(
            APPEND,
            (keys.log(topic.name, partition), keys.head(topic.name, partition), once),
            (number, topic.stream_bytes, *words),
        )

    def _trim_if_due(self, calls: list[Call], topic: Topic, partition: int) -> None:
        stream, now = (topic.name, partition), time.monotonic()
        if now - self._trimmed.get(stream, 0) >= TRIM_SECONDS or stream in self._full_until:
            self._trimmed[stream] = now
            calls.append(trim(self._keys, topic, partition))

    async def _topic(self, name: str) -> Topic | None:
        known = self._topics.get(name)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        try:
            topic = await read_topic(self._connection, self._keys, name)
        except TopicMissing:
            self._topics.pop(name, None)
            return None
        self._topics[name] = (topic, time.monotonic() + TOPIC_SECONDS)
        return topic

    def _settle(self, stream: Stream, records: Sequence[_Sent], answer: object) -> None:
        if not isinstance(answer, list):
            self._fail(records, BusUnavailable(f"Redis refused the records: {answer!r}", topic=stream[0]))
            return
        accepted = answer[0]
        if accepted < 0:
            self._topics.pop(stream[0], None)
            self._fail(records, TopicMissing(f"topic {stream[0]} does not exist", topic=stream[0]))
            return
        for sent in records[:accepted]:
            self._finish(sent, None)
        if accepted == len(records):
            self._full_until.pop(stream, None)
            return
        self._full_until[stream] = time.monotonic() + FULL_SECONDS
        self._fail(records[accepted:], BusFull("the topic is at its byte bound", topic=stream[0]))

    def _expire_queue(self) -> None:
        now = time.monotonic()
        while True:
            with self._lock:
                if not self._queue or self._queue[0].deadline > now:
                    return
                sent = self._queue.popleft()
            self._finish(sent, BusUnavailable("Redis did not answer in time", topic=sent.stream[0]))

    def _fail_round(self, due: _Round, error: BaseException) -> None:
        for records in due.left.values():
            self._fail(records, error)
        due.left.clear()

    def _fail(self, records: Sequence[_Sent], error: BaseException) -> None:
        for sent in records:
            self._finish(sent, error)

    def _finish(self, sent: _Sent, error: BaseException | None) -> None:
        with self._lock:
            self._bytes -= sent.size
            left = self._stream_bytes[sent.stream] - sent.size
            if left:
                self._stream_bytes[sent.stream] = left
            else:
                del self._stream_bytes[sent.stream]
        try:
            sent.done(error)
        except Exception:
            self._log.exception("a callback of bus.send failed")

    def _report_away(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            self._log.warning("cannot send to Redis, trying again: %r", error)

    def _recovered(self) -> None:
        if self._away:
            self._away = False
            self._log.info("sending to Redis goes on")


def trim(keys: Keys, topic: Topic, partition: int) -> Call:
    names = (keys.log(topic.name, partition), keys.head(topic.name, partition), keys.groups(topic.name, partition))
    return Call(TRIM, names, (topic.retention_ms, *topic.groups))
