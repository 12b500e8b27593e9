"""Documents over a real Redis: who wins, what comes late, what comes again, what is told when."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from tests.support.shadow_documents import NOW_MS, Bench, MakeBench, Sent, made, message, update, wish
from thinghub.common.redis import cmd
from thinghub.shadow.domain.document_fold import Held
from thinghub.shadow.errors import ShadowVersionConflict, StoreUnavailable
from thinghub.shadow.ports.documents import Device, Write, Written
from thinghub.shadow.service.document_cache import RecentDocuments
from thinghub.shadow.service.document_limits import RequestRates

D1, D2 = Device("a1pk", "d1"), Device("a1pk", "d2")


def codes(replies: Sequence[dict[str, dict[str, dict[str, str]]]]) -> list[object]:
    return [reply["payload"].get("content", {}).get("errorcode", reply["payload"]["status"]) for reply in replies]


async def test_replies_go_to_the_connection_that_asked_and_name_the_right_device(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.documents.handle([message(D1, update(1)), message(D2, b"{"), message(D1, {"method": "get"}, 2)])
    first, second, third = sorted(bench.sent.messages, key=lambda one: one.device)
    assert (first.device, first.origin, first.handle) == (D1, "gateway1", 77)
    assert json.loads(second.payload)["payload"]["state"]["reported"] == {"n": 1}
    assert third.device == D2
    assert b'"400"' in third.payload


async def test_a_batch_of_many_devices_is_stored_whole(make_bench: MakeBench) -> None:
    bench = make_bench()
    devices = [Device("a1pk", f"d{number}") for number in range(500)]
    await bench.documents.handle([message(device, update(3)) for device in devices])
    assert {held.shadow.version for held in await bench.store.read(devices)} == {3}
    assert codes(bench.sent.take()) == ["success"] * 500


async def test_two_writers_of_one_shadow_have_one_winner_each_time(make_bench: MakeBench) -> None:
    bench = make_bench()

    async def write(version: int) -> bool:
        try:
            await bench.documents.update(D1, wish(version), True)
        except ShadowVersionConflict:
            return False
        return True

    for version in range(1, 201):
        winners = await asyncio.gather(write(version), write(version))
        assert sorted(winners) == [False, True]
        assert await bench.version(D1) == version


async def test_a_server_and_a_device_that_write_at_once_lose_nothing(make_bench: MakeBench) -> None:
    bench = make_bench()
    for number in range(1, 201):
        await asyncio.gather(
            bench.documents.update(D1, wish(2 * number, wish=number), True),
            bench.documents.handle([message(D1, update(2 * number + 1, report=number), number)]),
            return_exceptions=True,
        )
    (held,) = await bench.store.read([D1])
    assert held.shadow.reported == {"report": 200}
    assert held.shadow.version == 401


class Frozen:
    """A store whose writer stands still between its read and its write."""

    def __init__(self, bench: Bench) -> None:
        self._store = bench.store
        self.reading, self.resumed = asyncio.Event(), asyncio.Event()

    async def read(self, devices: Sequence[Device]) -> Sequence[Held]:
        return await self._store.read(devices)

    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        self.reading.set()
        await self.resumed.wait()
        return await self._store.write(writes)

    async def forget(self, deleted: Sequence[tuple[Device, int]]) -> None:
        await self._store.forget(deleted)


async def test_a_frozen_consumer_cannot_overwrite_newer_state(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.documents.handle([message(D1, update(1), 1)])
    store, sent = Frozen(bench), Sent()
    frozen = asyncio.create_task(made(bench.redis, store, sent).handle([message(D1, update(900, late=1), 2)]))
    await store.reading.wait()
    await bench.documents.handle([message(D1, update(2, late=1), 2), message(D1, update(3), 1, epoch=2)])
    before = await bench.store.read([D1])
    store.resumed.set()
    await frozen
    assert await bench.store.read([D1]) == before
    assert sent.messages == []


async def test_the_script_itself_refuses_a_lower_place(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.documents.handle([message(D1, update(1), 5, epoch=9)])
    (held,) = await bench.store.read([D1])
    lower = Held(held.revision + 1, held.shadow, (9, 4))
    assert await bench.store.write([Write(D1, held.revision, lower, b"{}")]) == [Written.CONFLICT]


async def test_a_record_that_comes_again_changes_nothing(make_bench: MakeBench) -> None:
    bench = make_bench()
    record = [message(D1, update(1), 1), message(D1, update(1), 2), message(D2, update(7), 1), message(D1, b"", 3)]
    await bench.documents.handle(record)
    await bench.documents.update(D1, wish(50), True)
    before = await bench.store.read([D1, D2])
    bench.sent.take()
    await bench.documents.handle(record)
    assert await bench.store.read([D1, D2]) == before
    assert sorted(map(str, codes(bench.sent.take()))) == ["407", "409", "success"]


async def test_a_control_goes_out_at_once_and_when_the_device_comes_online(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.documents.update(D1, wish(1, color="green"), True)
    await bench.documents.came_online([D1, D2])
    controls = bench.sent.take()
    assert [one["method"] for one in controls] == ["control", "control"]
    assert controls[0]["payload"]["state"] == {"reported": {}, "desired": {"color": "green"}}
    done = {"method": "update", "state": {"reported": {"color": "green"}, "desired": "null"}, "version": 2}
    await bench.documents.handle([message(D1, done)])
    bench.sent.take()
    await bench.documents.came_online([D1, D2])
    assert bench.sent.take() == []


async def test_the_document_of_a_deleted_device_is_gone_and_nothing_late_brings_it_back(
    make_bench: MakeBench,
) -> None:
    bench = make_bench()
    epoch = NOW_MS * 1000
    await bench.documents.handle([message(D1, update(5), 1, epoch), message(D2, update(5), 1, epoch + 9_000_000)])
    await bench.documents.deleted([(D1, NOW_MS + 1000), (D2, NOW_MS + 1000), (Device("a1pk", "new"), NOW_MS)])
    assert (await bench.version(D1), await bench.version(D2)) == (0, 5)
    await bench.documents.handle([message(D1, update(5), 1, epoch)])
    assert await bench.version(D1) == 0
    key = "shadow:{a1pk/d1}"
    assert 0 < int(str(await bench.redis.one(cmd("TTL", key)))) <= 172_800
    await bench.documents.handle([message(D1, update(1), 1, epoch + 9_000_000)])
    assert await bench.version(D1) == 1
    assert await bench.redis.one(cmd("TTL", key)) == -1


async def test_a_gateway_that_is_away_for_a_moment_costs_no_reply_and_for_long_no_document(
    make_bench: MakeBench,
) -> None:
    bench = make_bench()
    bench.sent.failures = 2
    await bench.documents.handle([message(D1, update(1))])
    assert codes(bench.sent.take()) == ["success"]
    bench.sent.failures = 99
    await bench.documents.handle([message(D1, update(2), 2)])
    assert await bench.version(D1) == 2


@pytest.mark.parametrize("enforce", [True, False])
async def test_a_device_has_so_many_requests_a_second(make_bench: MakeBench, enforce: bool) -> None:
    bench = make_bench(per_second=20, enforce=enforce)
    many = [message(D1, update(number), number, received_ms=NOW_MS + number) for number in range(1, 31)]
    await bench.documents.handle([*many, message(D2, update(1))])
    assert len(bench.sent.take()) == (21 if enforce else 31)
    await bench.documents.handle([message(D1, update(40), 40, received_ms=NOW_MS + 1000)])
    assert await bench.version(D1) == 40


def test_the_rate_counts_nobody_twice_and_forgets_who_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinghub.shadow.service.document_limits.MAX_DEVICES", 10)
    rates = RequestRates(1, True)
    assert not rates.over(("pk", "d"), 5000, (1, 1))
    assert not rates.over(("pk", "d"), 5000, (1, 1))
    assert rates.over(("pk", "d"), 5000, (1, 2))
    for number in range(100):
        rates.over(("pk", str(number)), 6000 + number, (1, 1))
    assert len(rates._seen) <= 10


async def test_what_too_few_replicas_confirmed_is_not_called_a_success(make_bench: MakeBench) -> None:
    bench = make_bench(replicas=3)
    await bench.documents.handle([message(D1, update(1)), message(D1, {"method": "get"}, 2)])
    assert codes(bench.sent.take())[0] == "500"
    with pytest.raises(StoreUnavailable):
        await bench.documents.update(D1, wish(9), True)


async def test_a_key_that_is_no_document_harms_its_own_device_only(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.redis.one(cmd("SET", "shadow:{a1pk/d1}", "x"))
    await bench.documents.handle([message(D1, update(1)), message(D2, update(1))])
    assert sorted(map(str, codes(bench.sent.take()))) == ["500", "success"]


@pytest.mark.parametrize("cache", [0, 30, 1 << 20])
async def test_documents_that_are_remembered_are_never_older_than_they_may_be(
    make_bench: MakeBench, cache: int
) -> None:
    first, second = make_bench(cache=cache), make_bench(cache=cache)
    for number in range(1, 40):
        one = (first, second)[number % 2]
        await one.documents.handle([message(D1, update(number, **{f"a{number % 3}": number}), number)])
        await one.documents.handle([message(D1, update(number), number, epoch=0)])
        (reply, refused) = one.sent.take()
        assert (reply["payload"]["status"], refused["payload"]["status"]) == ("success", "error")
        other = (second, first)[number % 2]
        await other.documents.handle([message(D1, {"method": "get"}, number)])
        assert other.sent.take()[0]["version"] == number
    (held,) = await first.store.read([D1])
    assert held.shadow.reported == {"a0": 39, "a1": 37, "a2": 38}


def test_the_memory_is_bounded_by_bytes() -> None:
    recent = RecentDocuments(100)
    for number in range(10):
        recent.put(Device("a1pk", str(number)), Held(revision=number), 40)
        recent.put(Device("a1pk", str(number)), Held(revision=number), 40)
    assert [number for number in range(10) if recent.get(Device("a1pk", str(number)))] == [8, 9]
    recent.put(D1, Held(), 1000)
    assert recent.get(D1) is None
