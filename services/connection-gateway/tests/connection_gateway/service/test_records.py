"""Records and a producer that is full: order is kept, nothing is dropped without word."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from thinghub.common.bus.port import BusFull, BusUnavailable, Done, RecordTooLarge
from thinghub.common.tracing import Tracing
from thinghub.connection_gateway.ports import Sample
from thinghub.connection_gateway.service.records import Records


@dataclass(frozen=True)
class Finished:
    record_id: int
    partition: int
    value: bytes = b"v"
    stream: int = 0
    samples: Sequence[Sample] = ()


@dataclass
class NarrowBus:
    """The sending half of a bus that takes `room` records at a time, and says so as the port does. A real one is full
    only after tens of megabytes."""

    room: int
    sent: list[tuple[str, int, bytes]] = field(default_factory=list)
    waiting: list[Done] = field(default_factory=list)

    def send(self, topic: str, partition: int, value: bytes, done: Done, key: bytes = b"") -> None:
        if value == b"large":
            raise RecordTooLarge("too large")
        if len(self.waiting) >= self.room:
            raise BusFull("full")
        self.sent.append((topic, partition, value))
        self.waiting.append(done)

    def answer(self, error: BaseException | None = None) -> None:
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(error)


@dataclass
class Keeper:
    committed: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    def commit(self, record_ids: list[int]) -> None:
        self.committed += record_ids

    def fail(self, record_ids: list[int]) -> None:
        self.failed += record_ids


@dataclass
class Bench:
    bus: NarrowBus
    keeper: Keeper
    records: Records

    async def settle(self) -> None:
        await asyncio.sleep(0.05)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bus, keeper = NarrowBus(2), Keeper()
    records = Records(bus, ["device.custom"], keeper, Tracing.memory(), lambda _: None)  # type: ignore[arg-type]
    task = asyncio.create_task(records.run())
    yield Bench(bus, keeper, records)
    task.cancel()


async def test_a_stored_record_is_committed_and_a_failed_one_failed(bench: Bench) -> None:
    bench.records.forward([Finished(1, 0)])
    bench.bus.answer()
    bench.records.forward([Finished(2, 0)])
    bench.bus.answer(BusUnavailable("away"))
    assert (bench.keeper.committed, bench.keeper.failed) == ([1], [2])


async def test_records_wait_while_the_producer_is_full_and_keep_their_order(bench: Bench) -> None:
    bench.records.forward([Finished(number, 0, str(number).encode()) for number in range(1, 6)])
    assert bench.records.held == 3
    while len(bench.keeper.committed) < 5:
        bench.bus.answer()
        bench.records.forward([])
        await bench.settle()
    assert bench.keeper.committed == [1, 2, 3, 4, 5]
    assert [value for _, _, value in bench.bus.sent] == [b"1", b"2", b"3", b"4", b"5"]
    assert bench.records.held == 0


async def test_a_record_never_overtakes_one_of_its_partition(bench: Bench) -> None:
    bench.records.forward([Finished(1, 0), Finished(2, 0), Finished(3, 0)])
    bench.bus.answer()
    bench.records.forward([Finished(4, 0, b"4"), Finished(5, 1, b"5")])
    assert [value for _, _, value in bench.bus.sent][2:] == [b"5"]
    while len(bench.keeper.committed) < 5:
        await bench.settle()
        bench.bus.answer()
    assert bench.keeper.committed.index(3) < bench.keeper.committed.index(4)


async def test_a_record_that_can_never_be_stored_is_failed_at_once(bench: Bench) -> None:
    bench.records.forward([Finished(1, 0, b"large"), Finished(2, 0)])
    bench.bus.answer()
    assert (bench.keeper.committed, bench.keeper.failed) == ([2], [1])
