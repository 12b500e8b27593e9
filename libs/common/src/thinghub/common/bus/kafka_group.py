"""Reading from Kafka as a member of a group: partitions come and go, offsets are stored in the broker."""

import time
from collections.abc import Callable, Sequence

import kafka
from kafka import errors as kafka_errors
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.future import Future
from kafka.structs import MemberState

from thinghub.common.bus.kafka_feed import Held, KafkaFeed, consumer_options
from thinghub.common.bus.lanes import GRACE
from thinghub.common.bus.port import TopicMissing

COMMIT_SECONDS = 0.1
REVOKE_GRACE = 1.0
Progress = list[tuple[Held, int]]
MAX_POLL_MS = 60_000
COMMITTED_MS = 5000


class GroupReading:
    """Offsets are committed between polls, one commit in flight, and once more when partitions are given up.

    A commit carries the group generation of the moment it is sent. What a revoked partition had finished is forgotten
    with it, so a member that was frozen and joined again has nothing stale to store.
    """

    def __init__(
        self,
        servers: Sequence[str],
        group: str,
        topics: Sequence[str],
        count_partitions: Callable[[str], int | None],
        session_seconds: float,
    ) -> None:
        self._servers = servers
        self._group = group
        self._topics = list(topics)
        self._count_partitions = count_partitions
        self._session_ms = int(session_seconds * 1000)
        self._commit: Future | None = None
        self._committed: Progress = []
        self._next_commit = 0.0

    def open(self, feed: KafkaFeed) -> kafka.KafkaConsumer:
        for topic in self._topics:
            if self._count_partitions(topic) is None:
                raise TopicMissing(f"topic {topic} does not exist; `thinghub admin topics` creates it", topic=topic)
        consumer = kafka.KafkaConsumer(
            group_id=self._group,
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=max(100, self._session_ms // 5),
            max_poll_interval_ms=max(MAX_POLL_MS, self._session_ms),
            partition_assignment_strategy=(RoundRobinPartitionAssignor,),
            **consumer_options(self._servers),
        )
        self._commit = None
        consumer.subscribe(self._topics, listener=_Listener(consumer, feed))
        consumer.topics()  # a leader without metadata would assign nothing at first, and then again
        return consumer

    def tick(self, consumer: kafka.KafkaConsumer, feed: KafkaFeed) -> None:
        finish_joining(consumer)
        self._place(consumer, feed)
        if self._commit is not None:
            if not self._commit.is_done:
                return
            self._settle(self._commit)
            self._commit = None
        if time.monotonic() < self._next_commit:
            return
        self._next_commit = time.monotonic() + COMMIT_SECONDS
        offsets, self._committed = _unstored(list(feed.held.values()))
        if offsets:
            self._commit = consumer.commit_async(offsets, callback=_ignore)

    def close(self, consumer: kafka.KafkaConsumer, feed: KafkaFeed) -> None:
        consumer.close(autocommit=False, timeout_ms=int(GRACE * 1000))

    def _place(self, consumer: kafka.KafkaConsumer, feed: KafkaFeed) -> None:
        """A partition that was revoked and came back keeps the library's position and pause, but not the records that
        were waiting in its lane: without this they would be skipped. It begins anew at the stored offset."""
        for held in [one for one in feed.held.values() if not one.placed]:
            stored = consumer.committed(held.partition, timeout_ms=COMMITTED_MS)
            if stored is None:
                consumer.seek_to_beginning(held.partition)
            else:
                consumer.seek(held.partition, stored)
            consumer.resume(held.partition)
            held.placed = True

    def _settle(self, commit: Future) -> None:
        if commit.failed():
            return  # the partitions still held are committed again at the next tick
        for held, offset in self._committed:
            held.stored = offset


def finish_joining(consumer: kafka.KafkaConsumer) -> None:
    """kafka-python 3.0 forgets a join under way when `poll` runs out of time in it and the reason for joining was a
    change of metadata: the member then neither reads nor sends heartbeats, for ever. Asking again heals it."""
    coordinator = consumer._coordinator
    if consumer.group_metadata().state == MemberState.REBALANCING and not coordinator.need_rejoin():
        coordinator.request_rejoin()


class _Listener(kafka.AsyncConsumerRebalanceListener):
    def __init__(self, consumer: kafka.KafkaConsumer, feed: KafkaFeed) -> None:
        self._consumer = consumer
        self._feed = feed

    async def on_partitions_assigned(self, assigned: set[kafka.TopicPartition]) -> None:
        self._feed.take(sorted(assigned))

    async def on_partitions_revoked(self, revoked: set[kafka.TopicPartition]) -> None:
        """Blocks the library's loop until the handlers have ended: nobody else may start on these partitions before."""
        grace = GRACE if self._feed.stopping else REVOKE_GRACE
        offsets, _ = _unstored(self._feed.release(sorted(revoked), grace))
        if not offsets:
            return
        try:
            await self._consumer.commit_async(offsets, callback=_ignore)
        except kafka_errors.KafkaError as error:
            self._feed.log.info("offsets of %s were not stored, records will come again: %r", self._feed.name, error)

    async def on_partitions_lost(self, lost: set[kafka.TopicPartition]) -> None:
        """Somebody else has them already: what was finished here is not stored."""
        self._feed.log.warning("bus reader %s lost its partitions to the group", self._feed.name)
        self._feed.release(sorted(lost), 0)


def _unstored(held: Sequence[Held]) -> tuple[dict[kafka.TopicPartition, kafka.OffsetAndMetadata], Progress]:
    """What to commit for these, and what will be stored when that succeeded."""
    progress = [(one, one.passed) for one in held if one.passed > one.stored]
    return {one.partition: kafka.OffsetAndMetadata(passed + 1, "", -1) for one, passed in progress}, progress


def _ignore(offsets: object, outcome: object) -> None:
    """The library asks for a callback; the future says the same."""
