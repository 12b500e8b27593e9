"""Reading from Kafka: one thread a call of `consume` or `tail`, which polls and hands batches to lanes in the loop.

The thread polls whatever the handlers do (a full lane's partition is paused), so a slow handler never loses the group.
Rebalance callbacks come while the thread sits in `poll` or `close`: the two never run at once, and need no lock. What
lanes tell the thread (a counter, an offset) is written by the event loop only and read by the thread only.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, Never, Protocol

import kafka
from kafka import errors as kafka_errors

from thinghub.common.bus.lanes import GRACE, MAX_BATCHES, Lane, stop_lanes, to_the_end
from thinghub.common.bus.port import BusRecord, Handler

POLL_IDLE_MS = 500
POLL_MS = 100  # while offsets may have to be stored
POLL_BUSY_MS = 10  # while a paused partition may become free at any moment
SETTLE_SECONDS = 2.0  # after an assignment `poll` looks positions up and needs its time
RETRY_FIRST, RETRY_LAST = 0.2, 3.0
FETCH_BYTES = 1 << 20


class Reading(Protocol):
    """How a feed gets and gives up its partitions; called in the feed's thread."""

    def open(self, feed: "KafkaFeed") -> kafka.KafkaConsumer:
        """A consumer that has, or will be given, partitions. Raises what kafka-python raises, or Fault."""

    def tick(self, consumer: kafka.KafkaConsumer, feed: "KafkaFeed") -> None:
        """Between two polls."""

    def close(self, consumer: kafka.KafkaConsumer, feed: "KafkaFeed") -> None: ...


class Held:
    """A partition this feed has now. `handed` is the thread's, `finished` and `passed` are the event loop's."""

    def __init__(self, partition: kafka.TopicPartition, placed: bool) -> None:
        self.partition = partition
        self.placed = placed  # False: the consumer stands elsewhere than this partition must begin
        self.lane: Lane | None = None
        self.handed = 0  # batches
        self.finished = 0
        self.passed = -1  # offset of the last record whose handler returned
        self.stored = -1
        self.paused = False

    @property
    def full(self) -> bool:
        return self.handed - self.finished >= MAX_BATCHES

    @property
    def idle(self) -> bool:
        return self.handed == self.finished and self.passed == self.stored

    def advance(self, last: BusRecord) -> None:
        self.passed = last.offset
        self.finished += 1


class KafkaFeed:
    def __init__(
        self, name: str, reading: Reading, handler: Handler, prefix: str, max_records: int, log: logging.Logger
    ) -> None:
        self.name = name
        self.log = log
        self.held: dict[kafka.TopicPartition, Held] = {}
        self._reading = reading
        self._handler = handler
        self._prefix = prefix
        self._max_records = max_records
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._ended = asyncio.Event()
        self._released: set[kafka.TopicPartition] = set()  # since this consumer was opened
        self._assigned_at = 0.0
        self._away = False

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def run(self) -> Never:
        thread = threading.Thread(target=self._run, name=f"bus {self.name}", daemon=True)
        thread.start()
        try:
            await self._ended.wait()
        finally:
            self._stopping.set()
            await to_the_end(self._wait_for_end())
        raise RuntimeError(f"bus reader {self.name} ended by itself")

    async def _wait_for_end(self) -> None:
        try:
            async with asyncio.timeout(3 * GRACE):
                await self._ended.wait()
        except TimeoutError:
            self.log.error("bus reader %s did not end; it is left behind", self.name)

    # The feed's thread

    def _run(self) -> None:
        pause = RETRY_FIRST
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._read_once()
            except Exception as error:
                self._report(error)
            if time.monotonic() - began > 10 * RETRY_LAST:
                pause = RETRY_FIRST
            self._stopping.wait(pause)
            pause = min(2 * pause, RETRY_LAST)
        self._loop.call_soon_threadsafe(self._ended.set)

    def _read_once(self) -> None:
        self._released.clear()
        consumer = self._reading.open(self)
        try:
            while not self._stopping.is_set():
                self._reading.tick(consumer, self)
                self._free(consumer)
                restore_parked(consumer)
                batches = consumer.poll(timeout_ms=self._patience(), max_records=self._max_records)
                for partition, records in batches.items():
                    self._hand_over(consumer, partition, records)
        finally:
            try:
                self._reading.close(consumer, self)
            finally:
                self.release(list(self.held), GRACE if self.stopping else 0)

    def _patience(self) -> int:
        held = self.held.values()
        if any(one.paused for one in held) and time.monotonic() - self._assigned_at > SETTLE_SECONDS:
            return POLL_BUSY_MS
        return POLL_IDLE_MS if all(one.idle for one in held) else POLL_MS

    def _free(self, consumer: kafka.KafkaConsumer) -> None:
        for held in self.held.values():
            if held.paused and not held.full:
                consumer.resume(held.partition)
                held.paused = False

    def _hand_over(self, consumer: kafka.KafkaConsumer, partition: kafka.TopicPartition, records: list[Any]) -> None:
        held = self.held.get(partition)
        if held is None or held.lane is None or not held.placed:
            return
        self._recovered()
        topic = partition.topic.removeprefix(self._prefix)
        batch = [
            BusRecord(topic, partition.partition, r.offset, r.key or b"", r.value or b"", r.timestamp) for r in records
        ]
        held.handed += 1
        self._loop.call_soon_threadsafe(held.lane.put, batch)
        if held.full:
            consumer.pause(partition)
            held.paused = True

    # Called by the readings, in the feed's thread or in the library's while the former waits for it

    def take(self, partitions: Sequence[kafka.TopicPartition]) -> None:
        self._assigned_at = time.monotonic()
        self._recovered()
        new = [Held(tp, placed=tp not in self._released) for tp in partitions if tp not in self.held]
        self._in_loop(self._make_lanes(new), GRACE)
        self.held.update((held.partition, held) for held in new if held.lane is not None)

    def release(self, partitions: Sequence[kafka.TopicPartition], grace: float) -> list[Held]:
        """Ends the handlers of these partitions (bounded) and gives back how far each came."""
        given = [held for partition in partitions if (held := self.held.pop(partition, None)) is not None]
        self._released.update(held.partition for held in given)
        if given:
            lanes = [held.lane for held in given if held.lane is not None]
            self._in_loop(stop_lanes(lanes, grace), 2 * grace + 2)
        return given

    async def _make_lanes(self, new: Sequence[Held]) -> None:
        for held in new:
            name = f"{self.name} {held.partition.topic}/{held.partition.partition}"
            held.lane = Lane(name, self._handler, held.advance, self.log)

    def _in_loop(self, work: Any, seconds: float) -> None:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            future.result(seconds)
        except FutureTimeout:
            self.log.error("the event loop is too busy to serve bus reader %s", self.name)

    def _report(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            expected = isinstance(error, (kafka_errors.KafkaError, OSError)) or hasattr(error, "reason")
            self.log.warning(
                "bus reader %s stopped, trying again: %r", self.name, error, exc_info=None if expected else error
            )

    def _recovered(self) -> None:
        if self._away:
            self._away = False
            self.log.info("bus reader %s goes on", self.name)


def restore_parked(consumer: kafka.KafkaConsumer) -> None:
    """kafka-python 3.0 parks the fetched records of a paused partition, and gives them back after `resume` only while
    its in-line slot is None; a slot whose records are used up is empty but not None, and the partition then stalls for
    ever. The slot belongs to the thread that polls, which is ours."""
    fetcher = consumer._fetcher
    if not fetcher._next_partition_records:
        fetcher._next_partition_records = None


def consumer_options(servers: Sequence[str]) -> dict[str, Any]:
    return {
        "bootstrap_servers": list(servers),
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "allow_auto_create_topics": False,
        "max_partition_fetch_bytes": FETCH_BYTES,
        "fetch_max_bytes": 16 * FETCH_BYTES,
        "fetch_max_wait_ms": 500,
        "request_timeout_ms": 10_000,
        "bootstrap_timeout_ms": 2000,
        "reconnect_backoff_max_ms": 1000,
        "metadata_max_age_ms": 30_000,
        "metrics_enabled": False,
    }
