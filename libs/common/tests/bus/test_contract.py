"""The bus contract without disturbance: records, order, groups, tails. Kafka and Redis Streams, one body."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tests.support.bus_suite import GROUP, Answers, Seen, lag_is, numbers, publish_all, running, until
from thinghub.common.bus import open_bus as open_bus_by_url
from thinghub.common.bus.port import MAX_RECORD_BYTES, Bus, BusRecord, RecordTooLarge, TopicMissing, TopicSpec
from thinghub.common.runtime import Runtime

TOPIC = "numbers"


async def make_topic(bus: Bus, partitions: int = 3, name: str = TOPIC) -> None:
    await bus.ensure_topics([TopicSpec(name, partitions, 3600, (GROUP,))])


async def test_a_url_names_the_adapter(url: str, prefix: str) -> None:
    bus = await open_bus_by_url(url, prefix, Runtime.for_tests())
    await bus.ping()
    await bus.close()


async def test_an_unknown_url_is_refused() -> None:
    with pytest.raises(ValueError, match="kafka://"):
        await open_bus_by_url("amqp://127.0.0.1", "", Runtime.for_tests())


async def test_topics_are_created_once_and_counted(bus: Bus) -> None:
    specs = [TopicSpec("one", 1, 60), TopicSpec("four", 4, 60)]
    assert sorted(await bus.ensure_topics(specs)) == ["four", "one"]
    assert await bus.ensure_topics(specs) == []
    assert [await bus.partitions(name) for name in ("one", "four")] == [1, 4]


async def test_a_missing_topic_is_named(bus: Bus) -> None:
    with pytest.raises(TopicMissing, match="nowhere"):
        await bus.partitions("nowhere")
    with pytest.raises(TopicMissing, match="nowhere"):
        await bus.publish("nowhere", 0, b"x")
    with pytest.raises(TopicMissing, match="nowhere"):
        await bus.lag(GROUP, ["nowhere"])


async def test_a_partition_that_does_not_exist_is_refused(bus: Bus) -> None:
    await make_topic(bus, 2)
    await bus.publish(TOPIC, 1, b"x")
    with pytest.raises(TopicMissing):
        await bus.publish(TOPIC, 2, b"x")


async def test_readers_of_a_missing_topic_wait_for_it(bus: Bus) -> None:
    seen = Seen()
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        await asyncio.sleep(0.5)
        await make_topic(bus)
        await bus.publish(TOPIC, 0, b"x")
        await until(lambda: seen.values == [b"x"])


async def test_records_of_a_partition_come_in_the_order_sent(bus: Bus) -> None:
    await make_topic(bus)
    seen, answers = Seen(), Answers()
    for number in range(900):
        bus.send(TOPIC, number % 3, b"%d" % number, answers.of(number))
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        await until(lambda: len(seen.records) >= 900)
    for partition in range(3):
        assert seen.of(partition) == [b"%d" % number for number in range(partition, 900, 3)]
    assert len(answers.stored) == 900
    assert not answers.twice


async def test_a_record_comes_as_it_was_sent(bus: Bus) -> None:
    await make_topic(bus)
    seen = Seen()
    value = bytes(range(256))
    await bus.publish(TOPIC, 2, value, key=b"\x00key")
    await bus.publish(TOPIC, 2, b"no key")
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        await until(lambda: len(seen.records) == 2)
    first, second = seen.records
    assert (first.topic, first.partition, first.key, first.value) == (TOPIC, 2, b"\x00key", value)
    assert second.key == b""
    assert second.offset > first.offset
    assert 0 <= second.timestamp_ms - first.timestamp_ms < 60_000


async def test_send_is_callable_from_any_thread(bus: Bus) -> None:
    await make_topic(bus)
    answers = Answers()

    def send(thread: int) -> None:
        for number in range(100):
            bus.send(TOPIC, thread, b"%d" % number, answers.of(100 * thread + number))

    await asyncio.gather(*(asyncio.to_thread(send, thread) for thread in range(3)))
    await until(lambda: len(answers.by_number) == 300)
    seen = Seen()
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        await until(lambda: len(seen.records) == 300)
    assert [seen.of(partition) for partition in range(3)] == [numbers(100)] * 3


async def test_groups_do_not_disturb_each_other(bus: Bus) -> None:
    await make_topic(bus)
    first, second = Seen(), Seen()
    await publish_all(bus, TOPIC, numbers(50))
    async with running(bus.consume("one", [TOPIC], first), bus.consume("two", [TOPIC], second)):
        await until(lambda: len(first.records) == 50 and len(second.records) == 50)
    assert first.values == second.values == numbers(50)


async def test_a_group_goes_on_where_it_was(bus: Bus) -> None:
    await make_topic(bus)
    before, after = Seen(), Seen()
    await publish_all(bus, TOPIC, numbers(20))
    async with running(bus.consume(GROUP, [TOPIC], before)):
        await until(lambda: len(before.records) == 20)
    await publish_all(bus, TOPIC, numbers(20, 20))
    async with running(bus.consume(GROUP, [TOPIC], after)):
        await until(lambda: len(after.records) >= 20)
    assert after.values == numbers(20, 20)


async def test_a_reader_takes_several_topics(bus: Bus) -> None:
    await make_topic(bus, 2, "left")
    await make_topic(bus, 1, "right")
    seen = Seen()
    async with running(bus.consume(GROUP, ["left", "right"], seen)):
        await bus.publish("left", 1, b"l")
        await bus.publish("right", 0, b"r")
        await until(lambda: {(r.topic, r.value) for r in seen.records} == {("left", b"l"), ("right", b"r")})


async def test_partitions_are_handled_side_by_side(bus: Bus) -> None:
    await make_topic(bus)
    seen, gate = Seen(), asyncio.Event()

    async def handle(records: Sequence[BusRecord]) -> None:
        if records[0].partition == 0:
            await gate.wait()
        await seen(records)

    async with running(bus.consume(GROUP, [TOPIC], handle)):
        await bus.publish(TOPIC, 0, b"slow")
        await publish_all(bus, TOPIC, numbers(10), 1)
        await until(lambda: seen.of(1) == numbers(10))
        assert seen.of(0) == []
        gate.set()
        await until(lambda: seen.of(0) == [b"slow"])


async def test_a_handler_that_raises_gets_the_same_records_again(bus: Bus) -> None:
    await make_topic(bus)
    seen, failures = Seen(), iter([True, False, True, True, False])

    async def handle(records: Sequence[BusRecord]) -> None:
        if next(failures, False):
            raise OSError("the sink is away")
        await seen(records)

    await publish_all(bus, TOPIC, numbers(30))
    async with running(bus.consume(GROUP, [TOPIC], handle, max_records=7)):
        await until(lambda: len(seen.records) >= 30)
    assert seen.values == numbers(30)


async def test_offsets_wait_for_a_handler_that_raises(bus: Bus) -> None:
    await make_topic(bus)
    tries = 0

    async def handle(records: Sequence[BusRecord]) -> None:
        nonlocal tries
        tries += 1
        raise OSError("the sink is away")

    await publish_all(bus, TOPIC, numbers(3))
    async with running(bus.consume(GROUP, [TOPIC], handle)):
        await until(lambda: tries >= 2)
    await lag_is(bus, TOPIC, 3)


async def test_a_cancelled_reader_lets_its_handler_finish_and_stores_the_offset(bus: Bus) -> None:
    await make_topic(bus)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def handle(records: Sequence[BusRecord]) -> None:
        begun.set()
        await asyncio.sleep(0.5)
        ended.set()

    await bus.publish(TOPIC, 0, b"x")
    async with running(bus.consume(GROUP, [TOPIC], handle)):
        await begun.wait()
    assert ended.is_set()
    await lag_is(bus, TOPIC, 0)


async def test_lag_counts_what_the_group_has_not_passed(bus: Bus) -> None:
    await make_topic(bus)
    for partition in range(3):
        await publish_all(bus, TOPIC, numbers(5), partition)
    assert await bus.lag(GROUP, [TOPIC]) == {TOPIC: 15}
    seen = Seen()
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        await lag_is(bus, TOPIC, 0)
    assert len(seen.records) == 15


async def test_a_tail_sees_only_what_is_new_and_everything_of_it(bus: Bus) -> None:
    await make_topic(bus)
    await publish_all(bus, TOPIC, numbers(5))
    first, second = Seen(), Seen()
    async with running(bus.tail([TOPIC], first), bus.tail([TOPIC], second)):
        await until_tailing(bus, first, second)
        await publish_all(bus, TOPIC, numbers(20, 100), 1)
        await until(lambda: first.of(1) == numbers(20, 100) and second.of(1) == numbers(20, 100))
    assert not set(numbers(5)) & set(first.values)


async def until_tailing(bus: Bus, *tails: Seen) -> None:
    """A tail begins at some moment after the call: marks are sent until every tail has seen one."""
    async with asyncio.timeout(30):
        while not all(tail.records for tail in tails):
            await bus.publish(TOPIC, 2, b"mark")
            await asyncio.sleep(0.05)


async def test_a_record_of_the_greatest_size_passes_and_a_greater_one_is_refused(bus: Bus) -> None:
    await make_topic(bus)
    seen, answers = Seen(), Answers()
    greatest = b"x" * (MAX_RECORD_BYTES - 3)
    with pytest.raises(RecordTooLarge):
        bus.send(TOPIC, 0, greatest + b"y", answers.of(0), key=b"key")
    await bus.publish(TOPIC, 0, greatest, key=b"key")
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        await until(lambda: len(seen.records) == 1)
    assert seen.values == [greatest]
    assert not answers.by_number


async def test_close_answers_everything_that_was_sent(open_bus: Callable[..., Bus], url: str, bus: Bus) -> None:
    await make_topic(bus)
    closing, answers = open_bus(url), Answers()
    for number in range(500):
        closing.send(TOPIC, 0, b"%d" % number, answers.of(number))
    await closing.close()
    assert len(answers.stored) == 500
    seen = Seen()
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        await until(lambda: len(seen.records) == 500)
    assert seen.values == numbers(500)


async def test_members_share_the_partitions_and_take_over_from_one_that_leaves(
    open_bus: Callable[..., Bus], url: str, bus: Bus
) -> None:
    await make_topic(bus, 4)
    first, second = Seen(), Seen()
    async with running(bus.consume(GROUP, [TOPIC], first)):
        async with running(open_bus(url).consume(GROUP, [TOPIC], second)):
            await until_shared(bus, first, second)
        first.records.clear()
        for partition in range(4):
            await bus.publish(TOPIC, partition, b"after")
        await until(lambda: first.values.count(b"after") == 4)


async def until_shared(bus: Bus, first: Seen, second: Seen) -> None:
    async with asyncio.timeout(60):
        while True:
            first.records.clear()
            second.records.clear()
            for partition in range(4):
                await bus.publish(TOPIC, partition, b"who")
            await until(lambda: len({r.partition for r in first.records + second.records}) == 4)
            if len({r.partition for r in first.records}) == len({r.partition for r in second.records}) == 2:
                return
