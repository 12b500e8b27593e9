"""The bus port: partitioned, ordered, durable topics with at-least-once consumers.

A *topic* has partitions; a *record* is bytes in one partition, in order. A *group* reads each partition by one live
member at a time and stores how far it got. Two adapters keep this contract: Kafka, and Redis Streams used as a log.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Never, Protocol

from thinghub.common.errors import Fault, ResourceExhausted, Unavailable

# Key and value of a record together; an adapter's own framing is not counted.
MAX_RECORD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as `ensure_topics` creates it. `retention_s` bounds age, `max_bytes` size (a Streams topic refuses
    production at it; a Kafka topic leaves it to the broker). `groups` are the consumer groups that must have read a
    record before a Streams topic may trim it."""

    name: str
    partitions: int
    retention_s: int
    groups: tuple[str, ...] = ()
    max_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class BusRecord:
    """`offset` rises within a partition but need not be dense."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    timestamp_ms: int


class BusFull(ResourceExhausted):
    """The producer's buffer, or the topic's byte bound, is reached: stop producing, try again later."""

    reason = "bus_full"


class BusUnavailable(Unavailable):
    """The bus cannot be reached, or did not acknowledge in time."""

    reason = "bus_unavailable"


class RecordTooLarge(Fault):
    """The record exceeds what the bus takes (1 MiB); resending it cannot help."""

    reason = "record_too_large"


class TopicMissing(Fault):
    """The topic does not exist; `thinghub admin topics` creates it."""

    reason = "topic_missing"


Done = Callable[[BaseException | None], None]


class Handler(Protocol):
    """What a consumer does with records of one partition, in order.

    Returns when their effects are durable: the group's offset then moves past them. Raising leaves the offset: the same
    records come again after a pause. Calls for one partition never overlap; calls for different partitions do.
    Cancelled when the partition is lost.
    """

    async def __call__(self, records: Sequence[BusRecord]) -> None: ...


class Bus(Protocol):
    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> list[str]:
        """Creates what is missing; returns the names created. Raises BusUnavailable."""

    async def partitions(self, topic: str) -> int:
        """Raises TopicMissing, BusUnavailable."""

    def send(self, topic: str, partition: int, value: bytes, done: Done, key: bytes = b"") -> None:
        """Queues a record and returns at once; callable from any thread. `done` is called exactly once, from any
        thread, with None when the record is durable (all in-sync replicas, or fsynced) or with the exception.
        Raises BusFull, RecordTooLarge; then `done` is not called. Records of one partition are stored in the order
        sent; one that failed was not stored, or was not known to be within 30 s."""

    async def publish(self, topic: str, partition: int, value: bytes, key: bytes = b"") -> None:
        """`send` and wait. Raises BusFull, RecordTooLarge, TopicMissing, BusUnavailable."""

    async def consume(self, group: str, topics: Sequence[str], handler: Handler, *, max_records: int = 500) -> Never:
        """Joins the group and feeds the handler until cancelled; on cancellation running handlers are given 5 s,
        offsets are stored and the group is left in order. A new group starts at the oldest record. Outages, and topics
        that do not exist yet, are waited out."""

    async def tail(self, topics: Sequence[str], handler: Handler) -> Never:
        """Feeds every record from now on, whatever other processes read, until cancelled. Stores no offset; after an
        outage it goes on where it was when the topic still holds that."""

    async def lag(self, group: str, topics: Sequence[str]) -> dict[str, int]:
        """Records not yet passed by the group, by topic."""

    async def ping(self) -> None:
        """Raises BusUnavailable."""

    async def close(self) -> None:
        """Flushes what was sent (at most 5 s), then fails the rest."""
