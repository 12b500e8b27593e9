"""Sending to Kafka: kafka-python's producer, with the port's promises added.

kafka-python blocks its caller while it looks for brokers and topics, and does not always end a record it cannot
deliver.
So a record goes to the library directly only when its topic is known; until then it waits in our backlog, which one
thread of ours (the *keeper*) empties. The keeper also ends every record that got no answer in time.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import kafka
from kafka import errors as kafka_errors
from kafka.future import Future

from thinghub.common.bus.port import MAX_RECORD_BYTES, BusFull, BusUnavailable, Done, RecordTooLarge, TopicMissing

BATCH_BYTES = 256 << 10
REQUEST_BYTES = 8 << 20
KEEPER_PERIOD = 0.25
# The library must answer before we give up in its place, and our own look-around takes a while.
LIBRARY_SHARE = 0.9

Stream = tuple[str, int]
_HARMLESS = (kafka_errors.RetriableError, kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)


@dataclass(slots=True)
class _Sent:
    number: int
    stream: Stream
    value: bytes | None  # None once the library has it
    key: bytes
    done: Done
    size: int
    deadline: float


class KafkaSender:
    """`send` as the port says. At most `buffer_bytes` wait in all, and an eighth of it (but 2 MiB) for one partition:
    a partition without leader must not take the others' room."""

    def __init__(
        self,
        servers: Sequence[str],
        count_partitions: Callable[[str], int | None],
        log: logging.Logger,
        *,
        buffer_bytes: int,
        answer_within: float,
    ) -> None:
        self._servers = list(servers)
        self._count_partitions = count_partitions  # blocking; None: no such topic; raises BusUnavailable
        self._log = log
        self._limit = buffer_bytes
        self._stream_limit = max(buffer_bytes // 8, 2 << 20)
        self._answer_within = answer_within
        self._lock = threading.Lock()
        self._numbers = count()
        self._pending: dict[int, _Sent] = {}  # oldest first
        self._bytes = 0
        self._stream_bytes: Counter[Stream] = Counter()
        self._backlogs: dict[str, deque[_Sent]] = {}  # by topic; a topic with a backlog is not sent to directly
        self._known: set[str] = set()
        self._library: kafka.KafkaProducer | None = None
        self._worn_out = False
        self._away = False
        self._closed = False
        self._wake = threading.Event()
        self._keeper: threading.Thread | None = None

    def send(self, topic: str, partition: int, value: bytes, done: Done, key: bytes) -> None:
        size = len(key) + len(value)
        if size > MAX_RECORD_BYTES:
            raise RecordTooLarge(f"a record of {size} bytes is over {MAX_RECORD_BYTES}", topic=topic)
        with self._lock:
            sent = self._admit((topic, partition), value, key, done, size)
            if self._library is None or topic not in self._known or topic in self._backlogs:
                self._backlogs.setdefault(topic, deque()).append(sent)
                self._wake.set()
                return
            outcome = self._offer(self._library, sent)
        self._follow(sent, outcome)

    def close(self, seconds: float) -> None:
        """Waits for the answers to what was sent, then fails the rest. Blocking."""
        deadline = time.monotonic() + seconds
        while self._pending and time.monotonic() < deadline:
            time.sleep(0.01)
        with self._lock:
            self._closed = True
        self._wake.set()
        if self._keeper is not None:
            self._keeper.join(5)
        self._expire(float("inf"), "the bus was closed")
        self._discard_library()

    def _admit(self, stream: Stream, value: bytes, key: bytes, done: Done, size: int) -> _Sent:
        if self._closed:
            raise BusUnavailable("the bus is closed")
        if self._bytes + size > self._limit or self._stream_bytes[stream] + size > self._stream_limit:
            raise BusFull("too much waits for Kafka's answer", topic=stream[0])
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="bus-kafka-keeper", daemon=True)
            self._keeper.start()
        sent = _Sent(next(self._numbers), stream, value, key, done, size, time.monotonic() + self._answer_within)
        self._pending[sent.number] = sent
        self._bytes += size
        self._stream_bytes[stream] += size
        return sent

    def _offer(self, library: kafka.KafkaProducer, sent: _Sent) -> "Future | Exception":
        """Under the lock, so that the order of calls is the order in the library's buffer."""
        topic, partition = sent.stream
        try:
            future: Future = library.send(topic, value=sent.value, key=sent.key or None, partition=partition)
        except (kafka_errors.KafkaError, ValueError) as error:
            return error
        sent.value = None
        return future

    def _follow(self, sent: _Sent, outcome: "Future | Exception") -> None:
        """Outside of the lock: a future that is ready calls back at once."""
        if isinstance(outcome, Exception):
            self._finish(sent, outcome)
            return
        outcome.add_callback(lambda _: self._finish(sent, None))
        outcome.add_errback(lambda error: self._finish(sent, error))

    def _finish(self, sent: _Sent, error: BaseException | None) -> None:
        """Whoever comes first with an answer; the others find nothing to do."""
        with self._lock:
            if self._pending.pop(sent.number, None) is None:
                return
            self._bytes -= sent.size
            self._stream_bytes[sent.stream] -= sent.size
        if error is not None and not isinstance(error, (BusUnavailable, TopicMissing)):
            error = self._translate(sent, error)
        try:
            sent.done(error)
        except Exception:
            self._log.exception("a callback of bus.send failed")

    def _translate(self, sent: _Sent, error: BaseException) -> BaseException:
        topic, partition = sent.stream
        if isinstance(error, (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)):
            return RecordTooLarge(f"Kafka refused a record of {sent.size} bytes", topic=topic)
        if isinstance(error, ValueError):  # what the library says to a partition it does not know
            return TopicMissing(f"topic {topic} has no partition {partition}", topic=topic)
        if not isinstance(error, _HARMLESS):
            # Such an error can end an idempotent producer for good: the keeper replaces it.
            self._worn_out = True
            self._wake.set()
        return BusUnavailable(f"Kafka did not store the record: {error!r}", topic=topic)

    # The keeper's thread

    def _keep(self) -> None:
        while not self._closed:
            self._wake.wait(KEEPER_PERIOD)
            self._wake.clear()
            try:
                self._look_after()
            except Exception:
                self._log.exception("the bus's keeper failed; it goes on")
                time.sleep(1)

    def _look_after(self) -> None:
        if self._expire(time.monotonic(), "Kafka did not answer in time"):
            self._forget_expired()
        if self._worn_out:
            self._worn_out = False
            self._discard_library()
        if self._backlogs and self._connect():
            for topic in list(self._backlogs):
                self._empty(topic)

    def _expire(self, now: float, why: str) -> int:
        with self._lock:
            late = []
            for sent in self._pending.values():
                if sent.deadline > now:
                    break
                late.append(sent)
        for sent in late:
            self._finish(sent, BusUnavailable(why, topic=sent.stream[0]))
        return len(late)

    def _forget_expired(self) -> None:
        with self._lock:
            for topic, backlog in list(self._backlogs.items()):
                kept = deque(sent for sent in backlog if sent.number in self._pending)
                if kept:
                    self._backlogs[topic] = kept
                else:
                    del self._backlogs[topic]

    def _connect(self) -> bool:
        if self._library is not None:
            return True
        library_ms = int(self._answer_within * 1000 * LIBRARY_SHARE)
        try:
            library = kafka.KafkaProducer(
                bootstrap_servers=self._servers,
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                batch_size=BATCH_BYTES,
                max_request_size=REQUEST_BYTES,
                request_timeout_ms=min(10_000, library_ms // 2),
                delivery_timeout_ms=library_ms,
                max_block_ms=1000,
                bootstrap_timeout_ms=1000,
                reconnect_backoff_max_ms=1000,
                metadata_max_age_ms=60_000,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
        except (kafka_errors.KafkaError, OSError) as error:
            self._report_away(error)
            return False
        self._away = False
        with self._lock:
            self._library = library
        return True

    def _empty(self, topic: str) -> None:
        """Makes sure of the topic, then gives its backlog to the library."""
        library = self._library
        if library is None:
            return
        if topic not in self._known and not self._learn(library, topic):
            return
        outcomes = []
        with self._lock:
            for sent in self._backlogs.pop(topic, ()):
                if sent.number in self._pending:
                    outcomes.append((sent, self._offer(library, sent)))
        for sent, outcome in outcomes:
            self._follow(sent, outcome)

    def _learn(self, library: kafka.KafkaProducer, topic: str) -> bool:
        try:
            if self._count_partitions(topic) is None:
                self._refuse(topic)
                return False
            library.partitions_for(topic)
        except (BusUnavailable, kafka_errors.KafkaError) as error:
            self._report_away(error)
            return False
        self._away = False
        self._known.add(topic)
        return True

    def _refuse(self, topic: str) -> None:
        with self._lock:
            refused = self._backlogs.pop(topic, deque())
        for sent in refused:
            self._finish(sent, TopicMissing(f"topic {topic} does not exist", topic=topic))

    def _report_away(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            self._log.warning("cannot send to Kafka, trying again: %r", error)

    def _discard_library(self) -> None:
        with self._lock:
            library, self._library = self._library, None
            self._known.clear()
        if library is None:
            return
        # `close` waits for every batch in turn and raises at the first that is late: end the sender's thread first,
        # which fails what is left.
        library._sender.force_close()
        library._sender.join(2)
        try:
            library.close(1)
        except kafka_errors.KafkaError as error:
            self._log.warning("Kafka's producer did not close: %r", error)
