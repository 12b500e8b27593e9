"""The bus contract when the broker is away, frozen, or behind. Kafka and Redis Streams, one body."""

import asyncio
import tracemalloc
from collections.abc import Callable, Sequence

import pytest

from tests.support.bus_suite import GROUP, Answers, Seen, lag_is, numbers, publish_all, running, until
from tests.support.servers import KafkaServer, RedisServer
from thinghub.common.bus.port import Bus, BusFull, BusRecord, BusUnavailable, TopicSpec

TOPIC = "numbers"
Server = KafkaServer | RedisServer
OpenBus = Callable[..., Bus]


async def make_topic(bus: Bus, partitions: int = 2) -> None:
    await bus.ensure_topics([TopicSpec(TOPIC, partitions, 3600, (GROUP,))])


async def test_what_is_sent_during_an_outage_is_answered_and_readers_recover(
    open_bus: OpenBus, server: Server, server_url: str
) -> None:
    bus = open_bus(server_url)
    await make_topic(bus)
    grouped, tailed, answers = Seen(), Seen(), Answers()
    async with running(bus.consume(GROUP, [TOPIC], grouped), bus.tail([TOPIC], tailed)):
        while not (grouped.records and tailed.records):
            await bus.publish(TOPIC, 0, b"before")
        await asyncio.to_thread(server.kill)
        for number in range(100):
            bus.send(TOPIC, 1, b"%d" % number, answers.of(number))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.start)
        await until(lambda: len(answers.by_number) == 100)
        await publish_all(bus, TOPIC, [b"after"], 1)
        stored = [b"%d" % number for number in answers.stored]
        await until(lambda: grouped.of(1)[-1:] == [b"after"] and tailed.of(1)[-1:] == [b"after"])
    assert len(stored) == 100, "an outage shorter than the deadline is waited out"
    for seen in (grouped, tailed):
        first_deliveries = list(dict.fromkeys(seen.of(1)))
        assert first_deliveries == [*stored, b"after"]
    assert not answers.twice


async def test_a_frozen_broker_is_waited_out(open_bus: OpenBus, server: Server, server_url: str) -> None:
    bus = open_bus(server_url)
    await make_topic(bus)
    seen, answers = Seen(), Answers()
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        await bus.publish(TOPIC, 0, b"before")
        await until(lambda: seen.values)
        await asyncio.to_thread(server.pause)
        for number in range(50):
            bus.send(TOPIC, 1, b"%d" % number, answers.of(number))
        await asyncio.sleep(3)
        assert not answers.stored
        await asyncio.to_thread(server.resume)
        await until(lambda: len(answers.by_number) == 50)
        await until(lambda: list(dict.fromkeys(seen.of(1))) == numbers(50))


async def test_a_broker_that_stays_away_is_an_error_in_time(open_bus: OpenBus, server: Server, server_url: str) -> None:
    bus = open_bus(server_url, answer_within=4.0)
    await make_topic(bus)
    await bus.publish(TOPIC, 0, b"before")
    await asyncio.to_thread(server.kill)
    try:
        began = asyncio.get_running_loop().time()
        with pytest.raises(BusUnavailable):
            await bus.publish(TOPIC, 0, b"lost")
        assert asyncio.get_running_loop().time() - began < 15
        with pytest.raises(BusUnavailable):
            await bus.ping()
    finally:
        await asyncio.to_thread(server.start)
    async with asyncio.timeout(30):
        while True:
            try:
                await bus.publish(TOPIC, 0, b"after")
                break
            except BusUnavailable:
                continue


async def test_a_bus_that_is_opened_before_its_broker_works_when_that_comes(
    open_bus: OpenBus, server: Server, server_url: str
) -> None:
    await make_topic(open_bus(server_url))
    await asyncio.to_thread(server.kill)
    bus, seen, answers = open_bus(server_url), Seen(), Answers()
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        bus.send(TOPIC, 0, b"early", answers.of(0))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.start)
        await until(lambda: seen.values == [b"early"])
    assert answers.stored == [0]


async def test_closing_during_an_outage_answers_what_is_left(
    open_bus: OpenBus, server: Server, server_url: str
) -> None:
    bus, answers = open_bus(server_url), Answers()
    await make_topic(bus)
    await bus.publish(TOPIC, 0, b"before")
    await asyncio.to_thread(server.kill)
    try:
        bus.send(TOPIC, 0, b"lost", answers.of(0))
        async with asyncio.timeout(20):
            await bus.close()
        assert isinstance(answers.by_number[0], BusUnavailable)
    finally:
        await asyncio.to_thread(server.start)


async def test_a_full_buffer_refuses_and_takes_again_when_it_was_emptied(
    open_bus: OpenBus, server: Server, server_url: str
) -> None:
    bus, answers = open_bus(server_url, buffer_bytes=4 << 20), Answers()
    await make_topic(bus)
    await bus.publish(TOPIC, 0, b"before")
    await asyncio.to_thread(server.pause)
    sent = 0
    try:
        while sent < 100:
            bus.send(TOPIC, 0, bytes(256 << 10), answers.of(sent))
            sent += 1
    except BusFull:
        assert 1 <= sent <= 16
    assert sent < 100
    bus.send(TOPIC, 1, b"another partition has room", answers.of(1000))
    await asyncio.to_thread(server.resume)
    await until(lambda: len(answers.stored) == sent + 1)
    await bus.publish(TOPIC, 0, b"after")


async def test_a_handler_that_stands_still_bounds_what_is_read(bus: Bus) -> None:
    await make_topic(bus)
    size, count = 256 << 10, 240
    for _ in range(count // 16):
        await publish_all(bus, TOPIC, [bytes(size)] * 16)
    gate, alive = asyncio.Event(), Resident()
    handled = 0

    async def handle(records: Sequence[BusRecord]) -> None:
        nonlocal handled
        await gate.wait()
        handled += len(records)

    alive.mark()
    async with running(bus.consume(GROUP, [TOPIC], handle)):
        await asyncio.sleep(2)
        assert alive.growth() < 24 << 20, "of 60 MB waiting, only a few may be in memory"
        gate.set()
        await until(lambda: handled == count)
    await lag_is(bus, TOPIC, 0)


class Resident:
    """What Python has allocated, by tracemalloc."""

    def mark(self) -> None:
        tracemalloc.start()
        self._base = tracemalloc.get_traced_memory()[0]

    def growth(self) -> int:
        now = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return now - self._base
