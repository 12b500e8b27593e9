"""Latest values on real Redis servers, history on a real PostgreSQL."""

import asyncio

from thinghub.common.postgres import Postgres
from thinghub.common.redis import Redis
from thinghub.shadow.adapters.postgres_history import DAY_MS, PostgresHistory
from thinghub.shadow.adapters.redis_properties import RedisProperties
from thinghub.shadow.domain.thing_posts import Item
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import EventRow, Latest, PropertyRow, Span

DEVICE, OTHER = Device("pk", "dev1"), Device("pk", "dev2")
NOW = 1_700_000_000_000
EVERY = Span(0, 1 << 50, 10, True)


def latest(epoch: int, sequence: int, **values: object) -> Latest:
    return Latest(DEVICE, (epoch, sequence), list(values), list(values.values()), [NOW] * len(values))


async def test_newer_values_are_kept_and_older_places_write_nothing(redis: Redis) -> None:
    store = RedisProperties(redis)
    await store.put([latest(5, 3, a=1, b="x")])
    for epoch, sequence in ((5, 3), (5, 2), (4, 9)):
        await store.put([latest(epoch, sequence, a=99, c=99)])
    assert await store.get(DEVICE, ["a", "b", "c"]) == [Item(1, NOW), Item("x", NOW), None]
    await store.put([latest(5, 4, a=2), Latest(OTHER, (1, 1), ["a"], [7], [1])])
    await store.put([latest(6, 1, c=[1])])
    assert await store.get(DEVICE, ["a", "b", "c"]) == [Item(2, NOW), Item("x", NOW), Item([1], NOW)]
    assert await store.get(OTHER, ["a"]) == [Item(7, 1)]


async def test_any_text_is_kept_as_it_is(redis: Redis) -> None:
    store = RedisProperties(redis)
    texts = ["", "line\nend", "comma,", "\0", '"]', 1e300, 2**53 + 1, [1, "\n"], {"a,b": None}]
    await store.put([latest(5, 3, **{f"t{number}": text for number, text in enumerate(texts)})])
    found = await store.get(DEVICE, [f"t{number}" for number in range(len(texts))])
    assert found == [Item(text, NOW) for text in texts]


async def test_what_the_platform_itself_writes_is_not_fenced(redis: Redis) -> None:
    store = RedisProperties(redis)
    await store.put([latest(5, 3, a=1)])
    await store.put([latest(0, 0, a=2)])
    assert await store.get(DEVICE, ["a"]) == [Item(2, NOW)]
    await store.put([latest(5, 2, a=3)])
    assert await store.get(DEVICE, ["a"]) == [Item(2, NOW)]


async def test_ids_of_commands_rise_by_device(redis: Redis) -> None:
    store = RedisProperties(redis)
    assert [await store.next_ids([DEVICE]) for _ in range(2)] == [[1], [2]]
    assert await store.next_ids([OTHER, DEVICE]) == [1, 3]


def row(number: int, value: object, received_ms: int = NOW) -> PropertyRow:
    timed = {"a": [Item(value, received_ms + number)], "b": [Item("\0", NOW)]}
    return PropertyRow(DEVICE, received_ms, number, {}, timed)


async def test_history_is_written_once_and_read_by_time(postgres: Postgres) -> None:
    history = PostgresHistory(postgres, 30, lambda: NOW)
    rows = [row(number, number * 10) for number in range(1, 5)]
    await asyncio.gather(history.add(rows, []), history.add(rows, []))
    found = await history.values(DEVICE, "a", EVERY)
    assert [one.value for one in found] == [10, 20, 30, 40]
    assert [one.value for one in await history.values(DEVICE, "a", Span(NOW + 2, NOW + 3, 10, False))] == [30, 20]
    assert len(await history.values(DEVICE, "a", Span(0, 1 << 50, 2, True))) == 3
    assert await history.values(DEVICE, "c", EVERY) == []
    assert await history.values(OTHER, "a", EVERY) == []
    assert (await history.values(DEVICE, "b", EVERY))[0].value == "\0"


async def test_plain_posts_are_of_the_time_they_were_received(postgres: Postgres) -> None:
    history = PostgresHistory(postgres, 30, lambda: NOW)
    await history.add([PropertyRow(DEVICE, NOW, 1, {"a": 1.5, "b": "x\ny"}, {}), row(2, 7)], [])
    assert await history.values(DEVICE, "a", EVERY) == [Item(1.5, NOW), Item(7, NOW + 2)]
    assert Item("x\ny", NOW) in await history.values(DEVICE, "b", EVERY)


async def test_events_are_found_by_name_and_type(postgres: Postgres) -> None:
    history = PostgresHistory(postgres, 30, lambda: NOW)
    events = [
        EventRow(DEVICE, NOW, number, NOW + number, name, name.title(), kind, "{}")
        for number, (name, kind) in enumerate((("alarm", "alert"), ("news", "info"), ("alarm", "alert")))
    ]
    await history.add([], events)
    assert await history.events(DEVICE, "", "", EVERY) == events
    assert await history.events(DEVICE, "alarm", "", EVERY) == [events[0], events[2]]
    assert await history.events(DEVICE, "", "info", EVERY) == [events[1]]


async def test_partitions_are_made_ahead_and_dropped_past_retention(postgres: Postgres) -> None:
    now = NOW
    history = PostgresHistory(postgres, 2, lambda: now)
    await history.turn()
    await history.add([row(1, 1)], [])
    # Past retention already: there is no partition to be made for it.
    await history.add([row(2, 2, NOW - 5 * DAY_MS)], [])
    assert [one.value for one in await history.values(DEVICE, "a", EVERY)] == [1]
    now = NOW + 3 * DAY_MS
    await history.turn()
    assert await history.values(DEVICE, "a", EVERY) == []
    await history.add([row(3, 3, now)], [])
    assert [one.value for one in await history.values(DEVICE, "a", EVERY)] == [3]
