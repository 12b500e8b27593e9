"""Kafka, the calls that are not a stream of records: topics, offsets, is it there. One thread, one client."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import kafka
from kafka import errors as kafka_errors

from thinghub.common.bus.inspection import BusState
from thinghub.common.bus.kafka_inspection import describe
from thinghub.common.bus.port import MAX_RECORD_BYTES, BusUnavailable, TopicMissing, TopicSpec

REQUEST_MS = 5000
DEADLINE = 15.0
T = TypeVar("T")


class KafkaAdmin:
    """Every method raises BusUnavailable. Names of topics are the broker's, prefix included."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = list(servers)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bus-kafka-admin")
        self._client: kafka.KafkaAdminClient | None = None

    async def create(self, specs: Sequence[TopicSpec]) -> list[str]:
        return await self._call(lambda admin: _create(admin, specs))

    async def partitions(self, topic: str) -> int:
        """Raises TopicMissing."""
        count = (await self.partition_counts([topic]))[topic]
        if count is None:
            raise TopicMissing(f"topic {topic} does not exist; `thinghub admin topics` creates it", topic=topic)
        return count

    async def partition_counts(self, topics: Sequence[str]) -> dict[str, int | None]:
        """None for a topic that does not exist."""
        return await self._call(lambda admin: _partition_counts(admin, topics))

    def partition_count_now(self, topic: str) -> int | None:
        """The same for one topic, blocking, for a thread that is not the event loop's."""
        future = self._thread.submit(self._with_client, lambda admin: _partition_counts(admin, [topic])[topic])
        try:
            return future.result(DEADLINE)
        except (TimeoutError, kafka_errors.KafkaError, OSError) as error:
            raise BusUnavailable(f"Kafka: {error!r}") from error

    async def lag(self, group: str, topics: Sequence[str]) -> dict[str, int]:
        """Raises TopicMissing."""
        return await self._call(lambda admin: _lag(admin, group, topics))

    async def inspect(self, topics: Sequence[str]) -> BusState:
        return await self._call(lambda admin: describe(admin, topics))

    async def ping(self) -> None:
        await self._call(lambda admin: admin.describe_cluster())

    async def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # closed before
            self._thread.submit(self._drop)
        await asyncio.get_running_loop().run_in_executor(None, lambda: self._thread.shutdown(wait=True))

    async def _call(self, work: "Callable[[kafka.KafkaAdminClient], T]") -> T:
        future = asyncio.get_running_loop().run_in_executor(self._thread, self._with_client, work)
        try:
            async with asyncio.timeout(DEADLINE):
                return await asyncio.shield(future)
        except TimeoutError as error:
            raise BusUnavailable("Kafka did not answer in time") from error
        except (kafka_errors.KafkaError, OSError) as error:
            raise BusUnavailable(f"Kafka: {error!r}") from error

    def _with_client(self, work: "Callable[[kafka.KafkaAdminClient], T]") -> T:
        if self._client is None:
            self._client = kafka.KafkaAdminClient(
                bootstrap_servers=self._servers,
                request_timeout_ms=REQUEST_MS,
                bootstrap_timeout_ms=REQUEST_MS,
                reconnect_backoff_max_ms=1000,
            )
        try:
            return work(self._client)
        except (kafka_errors.KafkaError, OSError, RuntimeError):
            self._drop()  # the next call begins with fresh connections and metadata
            raise

    def _drop(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            client.close()


def _create(admin: kafka.KafkaAdminClient, specs: Sequence[TopicSpec]) -> list[str]:
    """Asks first, so that only what is missing is created; somebody else may still be faster."""
    counts = _partition_counts(admin, [spec.name for spec in specs])
    created = []
    for spec in specs:
        if counts[spec.name] is not None:
            continue
        try:
            admin.create_topics({spec.name: _description(spec)}, wait_for_metadata=True)
        except kafka_errors.TopicAlreadyExistsError:
            continue
        created.append(spec.name)
    return created


def _description(spec: TopicSpec) -> dict[str, object]:
    configs = {
        "retention.ms": str(spec.retention_s * 1000),
        "max.message.bytes": str(MAX_RECORD_BYTES + (64 << 10)),  # the broker counts the batch around the record too
    }
    return {"num_partitions": spec.partitions, "replication_factor": -1, "configs": configs}


def _partition_counts(admin: kafka.KafkaAdminClient, topics: Sequence[str]) -> dict[str, int | None]:
    found: dict[str, int | None] = dict.fromkeys(topics)
    for topic in admin.describe_topics(list(topics)) if topics else []:
        error = kafka_errors.for_code(topic["error_code"])
        if error in (kafka_errors.UnknownTopicOrPartitionError, kafka_errors.InvalidTopicError):
            continue
        if error is not kafka_errors.NoError:
            raise error(topic["name"])
        found[topic["name"]] = len(topic["partitions"])
    return found


def _lag(admin: kafka.KafkaAdminClient, group: str, topics: Sequence[str]) -> dict[str, int]:
    partitions = []
    for topic, count in _partition_counts(admin, topics).items():
        if count is None:
            raise TopicMissing(f"topic {topic} does not exist; `thinghub admin topics` creates it", topic=topic)
        partitions += [kafka.TopicPartition(topic, number) for number in range(count)]
    ends = admin.list_partition_offsets(dict.fromkeys(partitions, kafka.OffsetSpec.LATEST))
    starts = admin.list_partition_offsets(dict.fromkeys(partitions, kafka.OffsetSpec.EARLIEST))
    stored = admin.list_group_offsets({group: partitions}).get(group, {})
    lag = dict.fromkeys(topics, 0)
    for partition in partitions:
        passed = stored[partition].offset if partition in stored else -1
        lag[partition.topic] += max(0, ends[partition].offset - max(passed, starts[partition].offset))
    return lag
