"""Records: from the connection plane to the bus, with the bus's answer back (design §5, uplink).

The producer's callback commits to the connection plane from its own thread, without a turn of the event loop. When
the producer is full, records wait here in order, partition by partition; the connection plane stops reading the
connections behind a partition that holds too much, and fails what is not durable in time, so what waits here is
bounded by it.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence

from thinghub.common.bus.port import Bus, BusFull, Done
from thinghub.common.errors import Fault
from thinghub.common.tracing import Tracing
from thinghub.connection_gateway.ports import Count, FinishedRecord, RecordKeeper, Sample

PAUSE_SECONDS = 0.01
MAX_HELD = 10_000

log = logging.getLogger("thinghub.connection_gateway.records")


class Records:
    """`topics`: bus topic of each stream. To be made inside the running loop."""

    def __init__(self, bus: Bus, topics: Sequence[str], keeper: RecordKeeper, tracing: Tracing, count: Count) -> None:
        self._bus = bus
        self._topics = topics
        self._keeper = keeper
        self._tracing = tracing
        self._count = count
        self._loop = asyncio.get_running_loop()
        self._held: dict[tuple[int, int], deque[FinishedRecord]] = {}
        self._holding = asyncio.Event()

    def forward(self, records: Iterable[FinishedRecord]) -> None:
        for record in records:
            self._trace_receive(record)
            held = self._held.get((record.stream, record.partition))
            if held is not None or not self._send(record):
                self._hold(record)

    async def run(self) -> None:
        """Sends what had to wait, for ever."""
        while True:
            await self._holding.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            for key, held in list(self._held.items()):
                while held and self._send(held[0]):
                    held.popleft()
                if not held:
                    del self._held[key]
            if not self._held:
                self._holding.clear()

    @property
    def held(self) -> int:
        return sum(len(records) for records in self._held.values())

    def _hold(self, record: FinishedRecord) -> None:
        if self.held >= MAX_HELD:
            self._keeper.fail([record.record_id])
            return
        self._count("records_held")
        self._held.setdefault((record.stream, record.partition), deque()).append(record)
        self._holding.set()

    def _send(self, record: FinishedRecord) -> bool:
        """False: the producer is full. A record that can never be stored is failed, so its devices learn it."""
        try:
            self._bus.send(self._topics[record.stream], record.partition, record.value, self._done(record))
        except BusFull:
            return False
        except Fault as fault:
            log.error("a record was refused by the bus: %s", fault)
            self._keeper.fail([record.record_id])
        return True

    def _done(self, record: FinishedRecord) -> Done:
        keeper, ids, samples, began = self._keeper, [record.record_id], record.samples, _now_ms()

        def done(error: BaseException | None) -> None:
            if error is None:
                keeper.commit(ids)
            else:
                keeper.fail(ids)
                log.warning("a record was not stored: %s", error)
            if samples:
                self._loop.call_soon_threadsafe(self._trace_produce, samples, began, error)

        return done

    def _trace_receive(self, record: FinishedRecord) -> None:
        for sample in record.samples:
            attributes = {"messaging.destination.name": sample.topic}
            with self._tracing.root("connection-gateway receive", sample.traceparent, sample.received_ms, attributes):
                pass

    def _trace_produce(self, samples: Sequence[Sample], began_ms: int, error: BaseException | None) -> None:
        for sample in samples:
            with self._tracing.span("connection-gateway produce", sample.traceparent, start_ms=began_ms) as span:
                if error is not None:
                    span.fail(type(error).__name__)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
