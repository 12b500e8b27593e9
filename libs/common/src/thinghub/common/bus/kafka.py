"""The bus on Kafka, by kafka-python: a blocking library, kept behind threads of its own.

KafkaBus ── KafkaSender    the library's sender thread, and a keeper
         ── KafkaFeed      a thread for each consume and tail; GroupReading, TailReading
         ── KafkaAdmin     a thread for topics and offsets
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Never

from thinghub.common.bus.inspection import BusState
from thinghub.common.bus.kafka_admin import KafkaAdmin
from thinghub.common.bus.kafka_feed import KafkaFeed
from thinghub.common.bus.kafka_group import GroupReading
from thinghub.common.bus.kafka_producer import KafkaSender
from thinghub.common.bus.kafka_tail import TailReading
from thinghub.common.bus.lanes import to_the_end
from thinghub.common.bus.port import Done, Handler, TopicSpec
from thinghub.common.bus.publishing import publish

CLOSE_SECONDS = 5.0


class KafkaBus:
    """`session_seconds`: after so long a silence a member's partitions go to the others."""

    def __init__(
        self,
        servers: Sequence[str],
        prefix: str,
        log: logging.Logger,
        *,
        buffer_bytes: int = 64 << 20,
        answer_within: float = 30.0,
        session_seconds: float = 10.0,
    ) -> None:
        quiet_library()
        self._servers = servers
        self._prefix = prefix
        self._log = log
        self._session_seconds = session_seconds
        self._admin = KafkaAdmin(servers)
        self._sender = KafkaSender(
            servers, self._admin.partition_count_now, log, buffer_bytes=buffer_bytes, answer_within=answer_within
        )

    async def ensure_topics(self, specs: Sequence[TopicSpec]) -> list[str]:
        created = await self._admin.create([replace(spec, name=self._prefix + spec.name) for spec in specs])
        return [name.removeprefix(self._prefix) for name in created]

    async def partitions(self, topic: str) -> int:
        return await self._admin.partitions(self._prefix + topic)

    def send(self, topic: str, partition: int, value: bytes, done: Done, key: bytes = b"") -> None:
        self._sender.send(self._prefix + topic, partition, value, done, key)

    async def publish(self, topic: str, partition: int, value: bytes, key: bytes = b"") -> None:
        await publish(self, topic, partition, value, key)

    async def consume(self, group: str, topics: Sequence[str], handler: Handler, *, max_records: int = 500) -> Never:
        named = [self._prefix + topic for topic in topics]
        reading = GroupReading(
            self._servers, self._prefix + group, named, self._admin.partition_count_now, self._session_seconds
        )
        await KafkaFeed(f"group {group}", reading, handler, self._prefix, max_records, self._log).run()

    async def tail(self, topics: Sequence[str], handler: Handler) -> Never:
        named = [self._prefix + topic for topic in topics]
        reading = TailReading(self._servers, named, self._admin.partition_count_now)
        await KafkaFeed(f"tail {','.join(topics)}", reading, handler, self._prefix, 500, self._log).run()

    async def lag(self, group: str, topics: Sequence[str]) -> dict[str, int]:
        lag = await self._admin.lag(self._prefix + group, [self._prefix + topic for topic in topics])
        return {name.removeprefix(self._prefix): records for name, records in lag.items()}

    async def inspect(self, topics: Sequence[str]) -> BusState:
        """How the cluster and these topics are set up. Raises BusUnavailable."""
        found = await self._admin.inspect([self._prefix + topic for topic in topics])
        named = {name.removeprefix(self._prefix): topic for name, topic in found.topics.items()}
        return replace(found, topics={name: replace(topic, name=name) for name, topic in named.items()})

    async def ping(self) -> None:
        await self._admin.ping()

    async def close(self) -> None:
        await to_the_end(self._close())

    async def _close(self) -> None:
        await asyncio.to_thread(self._sender.close, CLOSE_SECONDS)
        await self._admin.close()


def quiet_library() -> None:
    """kafka-python warns at every attempt while a broker is away; this adapter says it once."""
    logger = logging.getLogger("kafka")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
