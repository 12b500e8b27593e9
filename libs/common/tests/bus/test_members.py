"""The bus contract when a member of a group is killed or frozen. Kafka and Redis Streams, one body."""

import asyncio
from collections.abc import Callable, Sequence

from tests.support.bus_suite import GROUP, SESSION_SECONDS, Member, Seen, lag_is, numbers, publish_all, running, until
from thinghub.common.bus.port import Bus, BusRecord, TopicSpec

TOPIC = "numbers"
StartMember = Callable[[str, str], Member]


async def make_topic(bus: Bus, partitions: int = 1) -> None:
    await bus.ensure_topics([TopicSpec(TOPIC, partitions, 3600, (GROUP,))])


async def test_another_member_takes_over_from_one_that_was_killed(bus: Bus, start_member: StartMember) -> None:
    await make_topic(bus)
    await publish_all(bus, TOPIC, [*numbers(25), b"gate", *numbers(25, 25)])
    killed = start_member("killed", TOPIC)
    await until(lambda: b"gate" in killed.begun)
    await asyncio.to_thread(killed.child.kill)
    seen = Seen()
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        await lag_is(bus, TOPIC, 0)
    handled = killed.finished + seen.values
    assert set(handled) == {*numbers(50), b"gate"}
    assert seen.values == [*numbers(25), b"gate", *numbers(25, 25)][-len(seen.values) :]


async def test_a_frozen_member_stores_no_offset_when_it_wakes(bus: Bus, start_member: StartMember) -> None:
    await make_topic(bus)
    await publish_all(bus, TOPIC, [*numbers(5), b"gate"])
    frozen = start_member("frozen", TOPIC)
    await until(lambda: b"gate" in frozen.begun)
    await asyncio.to_thread(frozen.child.pause)

    other = Seen()
    async with running(bus.consume(GROUP, [TOPIC], other)):
        await publish_all(bus, TOPIC, numbers(20, 100))
        await until(lambda: other.values[-20:] == numbers(20, 100))
        assert b"gate" in other.values
        await lag_is(bus, TOPIC, 0)
        # the frozen handler now returns at once: its offset lies far behind what the other has stored
        frozen.open_gate()
        await asyncio.to_thread(frozen.child.resume)
        await until_it_belongs_again(bus, frozen, other)
    await lag_is(bus, TOPIC, 0)
    assert set(frozen.finished) | set(other.values) >= {*numbers(5), *numbers(20, 100), b"gate"}
    assert other.values.count(b"100") == 1, "a stale offset was stored: records came again"


async def until_it_belongs_again(bus: Bus, frozen: Member, other: Seen) -> None:
    """With one partition either may have it afterwards; nothing may be lost or held up while that is settled."""
    for number in range(1000, 1015):
        value = b"%d" % number
        await bus.publish(TOPIC, 0, value)
        async with asyncio.timeout(45):
            while value not in other.values and value not in frozen.finished:
                await asyncio.sleep(0.02)
        assert (await bus.lag(GROUP, [TOPIC]))[TOPIC] <= number - 999, "a stale offset was stored: the lag jumped"
        await asyncio.sleep(0.1)


async def test_no_record_is_lost_while_members_come_and_go(bus: Bus, start_member: StartMember) -> None:
    await make_topic(bus, 4)
    members = [start_member("first", TOPIC), start_member("second", TOPIC)]
    published = 0
    for turn in range(3):
        for number in range(40):
            await bus.publish(TOPIC, number % 4, b"%d" % published)
            published += 1
        await until(lambda: any(member.finished for member in members))
        if turn == 0:
            await asyncio.to_thread(members[0].child.kill)
        elif turn == 1:
            members.append(start_member("third", TOPIC))
    seen = Seen()
    async with running(bus.consume(GROUP, [TOPIC], seen)):
        await asyncio.to_thread(members[1].child.kill)
        await lag_is(bus, TOPIC, 0)
    handled = set(seen.values).union(*(member.finished for member in members))
    assert handled == set(numbers(published))


async def test_records_that_waited_in_a_reader_survive_a_rebalance(
    open_bus: Callable[..., Bus], url: str, bus: Bus
) -> None:
    """The reader keeps its partitions' next batches while a handler stands still, then the group changes."""
    await make_topic(bus, 2)
    for partition in range(2):
        await publish_all(bus, TOPIC, numbers(40, 100 * partition), partition)
    seen, gate = Seen(), asyncio.Event()

    async def handle(records: Sequence[BusRecord]) -> None:
        await gate.wait()
        await seen(records)

    async with running(bus.consume(GROUP, [TOPIC], handle, max_records=5)):
        await asyncio.sleep(1)
        for _ in range(2):
            async with running(open_bus(url).consume(GROUP, [TOPIC], seen, max_records=5)):
                await asyncio.sleep(SESSION_SECONDS)
        gate.set()
        await lag_is(bus, TOPIC, 0)
    for partition in range(2):
        first_deliveries = list(dict.fromkeys(seen.of(partition)))
        assert first_deliveries == numbers(40, 100 * partition)
