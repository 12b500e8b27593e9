"""Reading from Kafka outside of any group: every partition, from now on, positions kept in memory."""

from collections.abc import Callable, Sequence

import kafka

from thinghub.common.bus.kafka_feed import KafkaFeed, consumer_options
from thinghub.common.bus.port import TopicMissing


class TailReading:
    """Positions survive an outage: only the first look takes the end of each partition."""

    def __init__(
        self, servers: Sequence[str], topics: Sequence[str], count_partitions: Callable[[str], int | None]
    ) -> None:
        self._servers = servers
        self._topics = topics
        self._count_partitions = count_partitions
        self._positions: dict[kafka.TopicPartition, int] = {}

    def open(self, feed: KafkaFeed) -> kafka.KafkaConsumer:
        partitions = []
        for topic in self._topics:
            count = self._count_partitions(topic)
            if count is None:
                raise TopicMissing(f"topic {topic} does not exist; `thinghub admin topics` creates it", topic=topic)
            partitions += [kafka.TopicPartition(topic, number) for number in range(count)]
        consumer = kafka.KafkaConsumer(**consumer_options(self._servers))
        try:
            self._place(consumer, partitions)
        except BaseException:
            consumer.close()
            raise
        feed.take(partitions)
        return consumer

    def tick(self, consumer: kafka.KafkaConsumer, feed: KafkaFeed) -> None:
        """Nothing is stored outside of this process; positions are noted when the consumer is closed."""
        for held in feed.held.values():
            held.stored = held.passed

    def close(self, consumer: kafka.KafkaConsumer, feed: KafkaFeed) -> None:
        for held in feed.held.values():
            if held.passed >= 0:
                self._positions[held.partition] = held.passed + 1
        consumer.close(autocommit=False)

    def _place(self, consumer: kafka.KafkaConsumer, partitions: Sequence[kafka.TopicPartition]) -> None:
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions, timeout_ms=5000)
        for partition in partitions:
            # an end below where we were: the topic was made anew
            position = min(self._positions.get(partition, ends[partition]), ends[partition])
            self._positions[partition] = position
            consumer.seek(partition, position)
