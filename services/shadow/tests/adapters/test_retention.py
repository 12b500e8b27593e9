"""What products keep of their history, and several properties out of it, on a real PostgreSQL."""

import asyncio

import pytest

from thinghub.common.postgres import Postgres
from thinghub.shadow.adapters.postgres_history import DAY_MS, PostgresHistory
from thinghub.shadow.adapters.postgres_properties import PostgresPropertyHistories
from thinghub.shadow.adapters.postgres_retention import PostgresRetention
from thinghub.shadow.domain.thing_posts import Item
from thinghub.shadow.errors import RetentionInvalid, SpanInvalid
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import EventRow, PropertyRow, Span
from thinghub.shadow.service.thing_histories import ThingHistories

SHORT, LONG = Device("shortpk", "dev1"), Device("longpk", "dev1")
NOW = 1_700_000_000_000
DAYS = 30
EVER = Span(0, 1 << 50, 100, True)


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOW

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(postgres: Postgres, clock: Clock) -> PostgresHistory:
    return PostgresHistory(postgres, DAYS, clock)


async def fill(history: PostgresHistory, device: Device, days_ago: int, count: int = 1) -> None:
    received_ms = NOW - days_ago * DAY_MS
    posts = [
        PropertyRow(device, received_ms, number, {}, {"a": [Item(days_ago, received_ms + number)]})
        for number in range(count)
    ]
    await history.add(posts, [EventRow(device, received_ms, 1, received_ms, "alarm", "Alarm", "alert", str(days_ago))])


async def days_left(history: PostgresHistory, device: Device) -> list[object]:
    values = [item.value for item in await history.values(device, "a", EVER)]
    events = [int(event.value) for event in await history.events(device, "", "", EVER)]
    assert sorted(set(values), key=str) == sorted(set(events), key=str)
    return values


async def test_a_sweep_deletes_what_a_product_no_longer_keeps(history: PostgresHistory, clock: Clock) -> None:
    retention = PostgresRetention(history, DAYS, clock, batch=7)
    await retention.keep_days("shortpk", 3)
    for device in (SHORT, LONG):
        for days_ago in (10, 5, 4, 2, 0):
            await fill(history, device, days_ago, 20 if days_ago == 10 else 1)
    # 20 posts of one day in batches of 7, two more days with a post each, and an event a day.
    assert await retention.sweep() == 20 + 2 + 3
    assert await days_left(history, SHORT) == [2, 0]
    assert len(await days_left(history, LONG)) == 24
    assert await retention.sweep() == 0
    clock.now_ms += DAY_MS + 1
    assert await retention.sweep() == 2
    assert await days_left(history, SHORT) == [0]
    await retention.keep_days("shortpk", 0)
    clock.now_ms += 3 * DAY_MS
    assert await retention.sweep() == 0


async def test_the_platforms_retention_drops_whole_days_and_their_partitions(
    history: PostgresHistory, clock: Clock
) -> None:
    retention = PostgresRetention(history, DAYS, clock)
    await retention.keep_days("longpk", DAYS)
    for days_ago in (20, 0):
        await fill(history, LONG, days_ago)
    clock.now_ms += 15 * DAY_MS
    await history.turn()
    assert await days_left(history, LONG) == [0]
    async with history.connected(4) as connection:
        assert min(day for _, day in await history.partitions(connection)) >= clock.now_ms // DAY_MS - DAYS
    assert await retention.sweep() == 0


async def test_sweeps_at_once_delete_each_row_once(history: PostgresHistory, clock: Clock) -> None:
    retention = PostgresRetention(history, DAYS, clock, batch=50)
    await retention.keep_days("shortpk", 1)
    await fill(history, SHORT, 5, 400)
    assert sum(await asyncio.gather(*(retention.sweep() for _ in range(3)))) == 401
    assert await days_left(history, SHORT) == []


async def test_it_sweeps_at_the_start_and_when_a_day_has_begun(
    history: PostgresHistory, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinghub.shadow.adapters.postgres_retention.EVERY_S", 0.01)
    retention = PostgresRetention(history, DAYS, clock)
    await retention.keep_days("shortpk", 1)
    await fill(history, SHORT, 5)
    task = asyncio.create_task(retention.keep())

    async def swept() -> None:
        while await history.values(SHORT, "a", EVER):
            await asyncio.sleep(0.01)

    await asyncio.wait_for(swept(), 30)
    await fill(history, SHORT, 4)
    await asyncio.sleep(0.2)
    assert await days_left(history, SHORT) == [4]
    clock.now_ms += DAY_MS
    await asyncio.wait_for(swept(), 30)
    task.cancel()


async def test_several_properties_are_read_at_once(history: PostgresHistory, clock: Clock) -> None:
    posts = [
        PropertyRow(LONG, NOW, number, {}, {name: [Item(number, NOW + number)] for name in names})
        for number, names in enumerate(("ab", "b", "a", "c", "ab"))
    ]
    await history.add([*posts, PropertyRow(LONG, NOW + 9, 9, {"a": 9}, {})], [])
    store = PostgresPropertyHistories(history)
    found = await store.several(LONG, ["b", "a", "none"], EVER)
    assert {name: [item.value for item in items] for name, items in found.items()} == {
        "b": [0, 1, 4],
        "a": [0, 2, 4, 9],
        "none": [],
    }
    newest = await store.several(LONG, ["a"], Span(NOW, NOW + 4, 1, False))
    assert [item.value for item in newest["a"]] == [4, 2]
    histories = ThingHistories(store, PostgresRetention(history, DAYS, clock), DAYS)
    page, next_ms = await histories.values(LONG, ["a", "b"], Span(NOW, NOW + 100, 2, True))
    assert ([item.value for item in page["a"]], [item.value for item in page["b"]]) == ([0, 2], [0, 1])
    rest, end = await histories.values(LONG, ["a", "b"], Span(next_ms, NOW + 100, 2, True))
    assert ([item.value for item in rest["a"]], [item.value for item in rest["b"]], end) == ([4, 9], [4], 0)


async def test_what_cannot_be_asked_or_kept_is_refused(history: PostgresHistory, clock: Clock) -> None:
    histories = ThingHistories(PostgresPropertyHistories(history), PostgresRetention(history, DAYS, clock), DAYS)
    for identifiers in ([], [f"p{number}" for number in range(11)], ["a\0"]):
        with pytest.raises(SpanInvalid):
            await histories.values(LONG, identifiers, EVER)
    for span in (EVER._replace(limit=0), EVER._replace(limit=101), Span(2, 1, 1, True), Span(-1, 1, 1, True)):
        with pytest.raises(SpanInvalid):
            await histories.values(LONG, ["a"], span)
    for days in (-1, DAYS + 1):
        with pytest.raises(RetentionInvalid):
            await histories.retain("shortpk", days)
    assert await histories.retention("shortpk") == (DAYS, False)
    assert await histories.retain("shortpk", 7) == 7
    assert await histories.retention("shortpk") == (7, True)
    assert await histories.retain("shortpk", 0) == DAYS
    assert await histories.retention("shortpk") == (DAYS, False)
