"""Calls of devices over a real Redis and a real PostgreSQL: what is sent, recorded, answered and told."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from tests.support.shadow_things import EVER, GATEWAY, NOW_MS, OTHER_SUB, SILENT_SUB, SUB, ThingBench
from thinghub.common.errors import Fault, Unavailable
from thinghub.shadow.errors import (
    AnswerUnreadable,
    CallNotSent,
    CallOffline,
    CallRefused,
    CallTimeout,
    ServiceNotAsynchronous,
    SpanInvalid,
    StoreUnavailable,
    TooManyCalls,
)
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.thing_calls import AnswerRow, CallRow, Ended, Exchange
from thinghub.shadow.ports.things import Span

REPLY = "thing/service/reboot_reply"


async def recorded(things: ThingBench, device: Device = SUB) -> list[tuple[int, str, str | None]]:
    calls, _ = await things.thing_calls.find(device, "", EVER)
    return [(one.message_id, one.identifier, one.output) for one in calls]


def reply(call_id: object, data: object = None, code: object = 200) -> bytes:
    return json.dumps({"id": call_id, "code": code, "data": data}).encode()


async def test_a_call_is_on_record_before_it_is_sent(things: ThingBench) -> None:
    things.kept.away = True
    with pytest.raises(Unavailable):
        await things.thing_calls.invoke(SUB, "reboot", '{"a":1}', 1)
    assert await recorded(things) == [(1, "reboot", None)]
    things.kept.away, things.kept.outcome = False, "failed"
    with pytest.raises(CallNotSent):
        await things.thing_calls.set([SUB], '{"Temp":1}', 1)
    things.kept.outcome = "offline"
    assert await things.thing_calls.invoke(SUB, "reboot", "{}", 1) == (3, "")


async def test_that_a_device_is_away_is_told_like_an_answer(things: ThingBench) -> None:
    things.kept.outcome = "offline"
    assert await things.thing_calls.tell([SUB, OTHER_SUB], "reboot", "{}", 1) == [1, 1]
    ids = {one.id for one in things.kept.data}
    assert len(ids) == 2
    assert things.kept.told()["/subpk/sub2/thing/downlink/reply/message"] == [
        {
            "gmtCreate": NOW_MS, "iotId": "iot-sub2", "productKey": "subpk", "deviceName": "sub2", "requestId": 1,
            "code": 9201, "message": "the device is offline", "topic": "/sys/subpk/sub2/thing/service/reboot",
            "data": {},
        }
    ]  # fmt: skip
    assert await recorded(things) == [(1, "reboot", None)]
    for outcome in ("delivered", "sent", "queued", "no_subscriber"):
        things.kept.outcome = outcome
        await things.thing_calls.set([SUB], '{"Temp":1}', 1)
    assert things.kept.told() == {}


async def test_that_it_cannot_be_told_does_not_fail_the_call(
    things: ThingBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    things.kept.outcome = "offline"
    monkeypatch.setattr(things.kept, "publish", refusing)
    assert await things.thing_calls.invoke(SUB, "reboot", "{}", 1) == (1, "")


async def test_many_devices_have_each_its_own_id(things: ThingBench) -> None:
    await things.thing_calls.set([OTHER_SUB], '{"Temp":1}', 1)
    assert await things.thing_calls.tell([SUB, OTHER_SUB], "reboot", "{}", 0) == [1, 2]
    sent = [(one.device, one.qos, json.loads(one.payload)["id"]) for one in things.kept.sent[1:]]
    assert sent == [(SUB, 0, "1"), (OTHER_SUB, 0, "2")]
    with pytest.raises(ServiceNotAsynchronous):
        await things.thing_calls.tell([SUB], "sum", "{}", 1)


async def test_of_a_product_that_is_not_stored_nothing_is_on_record(things: ThingBench) -> None:
    await things.thing_calls.invoke(SILENT_SUB, "reboot", "{}", 1)
    await things.thing_calls.invoke(SILENT_SUB, "sum", "{}", 1)
    await things.handle([things.message(REPLY, reply("1"), SILENT_SUB)])
    assert await recorded(things, SILENT_SUB) == []
    assert list(things.kept.told()) == ["/silentpk/silent1/thing/downlink/reply/message"]


async def test_an_answer_goes_into_its_call_once_and_is_told_as_often_as_it_comes(things: ThingBench) -> None:
    await things.thing_calls.invoke(SUB, "reboot", "{}", 1)
    first = things.message(REPLY, reply("1", {"n": 1}), SUB)
    await things.handle([first, things.message(REPLY, reply("1", {"n": 2}), SUB)])
    assert await recorded(things) == [(1, "reboot", '{"n":1}')]
    ids = [one.id for one in things.kept.data]
    told = things.kept.told()["/subpk/sub1/thing/downlink/reply/message"]
    assert told[0] == {
        "gmtCreate": NOW_MS, "iotId": "iot-sub1", "productKey": "subpk", "deviceName": "sub1", "requestId": 1,
        "code": 200, "message": "success", "topic": "/sys/subpk/sub1/thing/service/reboot", "data": {"n": 1},
    }  # fmt: skip
    await things.handle([first])
    assert [one.id for one in things.kept.data] == ids[:1]
    assert await recorded(things) == [(1, "reboot", '{"n":1}')]


@pytest.mark.parametrize(
    ("below", "device", "payload"),
    [
        (REPLY, OTHER_SUB, reply("1")),
        (REPLY, SUB, reply("2")),
        (REPLY, SUB, reply("9" * 18)),
        (REPLY, SUB, reply("1", code=1 << 40)),
        (REPLY, SUB, b"\xff" * 1000),
        (REPLY, SUB, b"[" * 100_000),
        ("thing/service/property/set_reply", SUB, reply("1")),
        ("thing/service/sum_reply", SUB, reply("1")),
        ("thing/service/_reply", SUB, reply("1")),
        ("thing/service/a\0b_reply", SUB, reply("1")),
        ("thing/service/reboot", SUB, reply("1")),
    ],
)
async def test_an_answer_to_something_else_changes_no_record(
    things: ThingBench, below: str, device: Device, payload: bytes
) -> None:
    await things.thing_calls.invoke(SUB, "reboot", "{}", 1)
    await things.handle([things.message(below, payload, device)])
    assert await recorded(things) == [(1, "reboot", None)]
    assert await recorded(things, OTHER_SUB) == []


async def test_an_answer_is_of_the_newest_call_of_its_id_and_of_the_last_eight_days(things: ThingBench) -> None:
    day = 24 * 3600 * 1000
    for days in (9, 3, 1):
        await things.calls.begin([CallRow(SUB, NOW_MS - days * day, 7, "reboot", "Reboot", "{}")])
    for n in (1, 2):
        await things.calls.answered([AnswerRow(SUB, 7, "reboot", NOW_MS, 200, f'{{"n":{n}}}')])
    assert await recorded(things) == [(7, "reboot", None), (7, "reboot", None), (7, "reboot", '{"n":1}')]
    await things.calls.begin([CallRow(SUB, NOW_MS - 9 * day, 8, "reboot", "Reboot", "{}")])
    await things.calls.answered([AnswerRow(SUB, 8, "reboot", NOW_MS, 200, "{}")])
    assert [one for one in await recorded(things) if one[0] == 8] == [(8, "reboot", None)]


async def test_while_the_record_is_away_an_answer_is_neither_told_nor_lost(
    things: ThingBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await things.thing_calls.invoke(SUB, "reboot", "{}", 1)
    answer = things.message(REPLY, reply("1"), SUB)
    with monkeypatch.context() as away:
        away.setattr(things.calls, "answered", refusing)
        with pytest.raises(StoreUnavailable):
            await things.handle([answer])
    assert things.kept.told() == {}
    await things.handle([answer])
    assert await recorded(things) == [(1, "reboot", "{}")]
    assert len(things.kept.data) == 1


async def refusing(_rows: Sequence[object]) -> None:
    raise StoreUnavailable("away")


async def test_what_cannot_be_recorded_is_not_sent_but_what_is_done_is_told(
    things: ThingBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    things.kept.exchange = Exchange(Ended.ANSWERED, reply("1", {"n": 1}))
    with monkeypatch.context() as away:
        away.setattr(things.calls, "answered", refusing)
        assert await things.thing_calls.invoke(SUB, "sum", "{}", 1) == (1, '{"n":1}')
        away.setattr(things.calls, "begin", refusing)
        for service in ("sum", "reboot"):
            with pytest.raises(StoreUnavailable):
                await things.thing_calls.invoke(SUB, service, "{}", 1)
    assert len(things.kept.requested) == 1
    assert things.kept.sent == []


@pytest.mark.parametrize(
    ("exchange", "fault"),
    [
        (Exchange(Ended.OFFLINE), CallOffline),
        (Exchange(Ended.TIMEOUT), CallTimeout),
        (Exchange(Ended.NOT_SENT), CallNotSent),
        (Exchange(Ended.ANSWERED, b""), AnswerUnreadable),
        (Exchange(Ended.ANSWERED, reply("1", code=5)), CallRefused),
    ],
)
async def test_a_synchronous_call_says_how_it_ended(things: ThingBench, exchange: Exchange, fault: type[Fault]) -> None:
    things.kept.exchange = exchange
    with pytest.raises(fault):
        await things.thing_calls.invoke(SUB, "sum", "{}", 1)
    refused = fault is CallRefused
    assert await recorded(things) == [(1, "sum", "{}" if refused else None)]


async def test_synchronous_calls_under_way_are_bounded_and_those_given_up_free_their_place(things: ThingBench) -> None:
    things.kept.answers.clear()

    def call(device: Device) -> asyncio.Task[tuple[int, str]]:
        return asyncio.create_task(things.thing_calls.invoke(device, "sum", "{}", 1))

    waiting = [call(SUB), call(OTHER_SUB)]
    while len(things.kept.requested) < 2:
        await asyncio.sleep(0.01)
    with pytest.raises(TooManyCalls):
        await things.thing_calls.invoke(GATEWAY, "sum", "{}", 1)
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    third = call(GATEWAY)
    while len(things.kept.requested) < 3:
        await asyncio.sleep(0.01)
    things.kept.answers.set()
    assert [await waiting[1], await third] == [(1, "{}"), (1, "{}")]
    assert await things.thing_calls.invoke(SUB, "sum", "{}", 1) == (2, "{}")


async def test_calls_are_paged_by_time(things: ThingBench) -> None:
    for number in range(5):
        things.now_ms = NOW_MS + number
        await things.thing_calls.set([SUB], '{"Temp":1}', 1)
    await things.thing_calls.invoke(SUB, "reboot", "{}", 1)
    page, next_ms = await things.thing_calls.find(SUB, "set", Span(NOW_MS + 1, NOW_MS + 9, 3, True))
    assert ([one.message_id for one in page], next_ms) == ([2, 3, 4], NOW_MS + 4)
    page, next_ms = await things.thing_calls.find(SUB, "", Span(0, NOW_MS + 9, 5, False))
    assert ([one.message_id for one in page], next_ms) == ([6, 5, 4, 3, 2], NOW_MS)
    with pytest.raises(SpanInvalid):
        await things.thing_calls.find(SUB, "", Span(0, 1, 101, True))


async def test_calls_past_retention_are_dropped(things: ThingBench) -> None:
    await things.history.turn()
    await things.thing_calls.invoke(SUB, "reboot", "{}", 1)
    things.now_ms += 31 * 24 * 3600 * 1000
    await things.history.turn()
    assert await recorded(things) == []
    await things.thing_calls.invoke(SUB, "reboot", "{}", 1)
    assert [one[0] for one in await recorded(things)] == [2]
