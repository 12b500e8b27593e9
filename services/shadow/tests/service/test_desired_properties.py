"""Desired properties over a real Redis."""

import asyncio
import json
import time
from typing import Any

import pytest

from tests.support.shadow_things import GATEWAY, NOW_MS, OTHER_SUB, SUB, ThingBench
from thinghub.common.redis import cmd
from thinghub.shadow.adapters.redis_desired import RedisDesired
from thinghub.shadow.errors import DesiredInvalid, DesiredVersionConflict, PropertiesInvalid, ThingModelMissing
from thinghub.shadow.ports.documents import Device

GET, DELETE = "thing/property/desired/get", "thing/property/desired/delete"


async def wish(things: ThingBench, items: dict[str, object], versions: str = "", device: Device = GATEWAY) -> Any:
    """The versions, with nothing left of what was sent."""
    _, stored = await things.desired.set(device, json.dumps(items), versions)
    things.kept.sent.clear()
    return stored


async def held(things: ThingBench, device: Device = GATEWAY) -> dict[str, Any]:
    """As the device sees it."""
    data: dict[str, Any] = (await things.post(GET, [], device))["data"]
    return data


async def test_versions_begin_at_1_and_rise_with_every_set(things: ThingBench) -> None:
    assert await wish(things, {"Load": 1, "Power": 2}) == {"Load": 1, "Power": 1}
    assert await wish(things, {"Load": 1}) == {"Load": 2}
    shown = await things.desired.get(GATEWAY, [], "")
    assert {one.property.identifier: one.desired for one in shown if one.desired.version} == {
        "Load": (1, NOW_MS, 2),
        "Power": (2, NOW_MS, 1),
    }
    assert [one.property.identifier for one in shown] == ["Load", "Power", "Note", "Seen", "Spot"]
    assert await held(things, SUB) == {}


async def test_a_version_that_is_not_the_stored_one_sets_nothing(things: ThingBench) -> None:
    assert await wish(things, {"Load": 1, "Power": 2}, '{"Load":0,"Power":"0"}') == {"Load": 1, "Power": 1}
    for versions in ('{"Load":0}', '{"Load":2}', '{"Load":1,"Power":0}'):
        with pytest.raises(DesiredVersionConflict):
            await wish(things, {"Load": 9, "Power": 9}, versions)
    assert await wish(things, {"Load": 3, "Power": 4}, '{"Load":1}') == {"Load": 2, "Power": 2}
    assert await held(things) == {"Load": {"value": 3, "version": 2}, "Power": {"value": 4, "version": 2}}


async def test_of_two_writers_with_one_version_one_wins_each_time(things: ThingBench) -> None:
    async def write(version: int) -> bool:
        try:
            await things.desired.set(GATEWAY, '{"Load":1}', json.dumps({"Load": version}))
        except DesiredVersionConflict:
            return False
        return True

    for version in range(200):
        assert sorted(await asyncio.gather(write(version), write(version))) == [False, True]


@pytest.mark.parametrize("items", ['{"Gone":1}', '{"Load":100}', '{"Seen":1}', "{}", "[]", "no", '{"Load":null}'])
async def test_what_cannot_be_set_is_refused(things: ThingBench, items: str) -> None:
    with pytest.raises(PropertiesInvalid):
        await things.desired.set(GATEWAY, items, "")


@pytest.mark.parametrize("versions", ["no", "[]", '{"Power":0}', '{"Load":-1}', '{"Load":1.5}', '{"Load":null}'])
async def test_versions_that_make_no_sense_are_refused(things: ThingBench, versions: str) -> None:
    with pytest.raises(DesiredInvalid):
        await things.desired.set(GATEWAY, '{"Load":1}', versions)
    with pytest.raises(ThingModelMissing):
        await things.desired.set(Device("gone", "none"), '{"Load":1}', "")
    with pytest.raises(DesiredInvalid):
        await things.desired.get(GATEWAY, ["Gone"], "")
    with pytest.raises(DesiredInvalid):
        await things.desired.clear(GATEWAY, [])


async def test_the_device_is_told_at_once_and_a_gateway_away_makes_no_difference(things: ThingBench) -> None:
    number, _ = await things.desired.set(GATEWAY, '{"Load":5}', "")
    (sending,) = things.kept.sent
    assert (sending.topic, sending.qos) == ("/sys/gwpk/gateway/thing/service/property/set", 0)
    assert json.loads(sending.payload) == {
        "id": number, "version": "1.0", "params": {"Load": 5}, "method": "thing.service.property.set"
    }  # fmt: skip
    things.kept.sent.clear()
    things.kept.away = True
    again, stored = await things.desired.set(GATEWAY, '{"Load":6}', "")
    assert (int(again), stored) == (int(number) + 1, {"Load": 2})
    things.kept.away = False
    assert await held(things) == {"Load": {"value": 6, "version": 2}}


async def test_a_device_asks_for_what_is_desired(things: ThingBench) -> None:
    await wish(things, {"Load": 1, "Note": "hi"})
    reply = await things.post(GET, ["Load", "Power", "Gone", "no name"])
    assert reply == {
        "id": "1", "code": 200, "message": "success", "data": {"Load": {"value": 1, "version": 1}},
        "method": "thing.property.desired.get", "version": "1.0",
    }  # fmt: skip
    assert set(await held(things)) == {"Load", "Note"}
    assert (await things.post(GET, ["Gone"]))["data"] == {}


async def test_a_reported_value_that_meets_it_clears_nothing(things: ThingBench) -> None:
    await wish(things, {"Load": 1})
    await things.post("thing/event/property/post", {"Load": 1})
    assert await held(things) == {"Load": {"value": 1, "version": 1}}


async def test_a_device_clears_by_version_whatever_version_or_all(things: ThingBench) -> None:
    await wish(things, {"Load": 1, "Power": 2, "Note": "hi"})
    await wish(things, {"Load": 2})
    assert (await things.post(DELETE, {"Load": {"version": 1}, "Power": {"version": 1}, "Gone": {}}))["data"] == {}
    assert set(await held(things)) == {"Load", "Note"}
    assert (await things.post(DELETE, {"Load": {}}))["code"] == 200
    assert set(await held(things)) == {"Note"}
    assert (await things.post(DELETE, {}))["code"] == 200
    assert await held(things) == {}
    # A version never means two values.
    assert await wish(things, {"Load": 3}) == {"Load": 3}


async def test_a_server_clears_and_sees_the_versions(things: ThingBench) -> None:
    await wish(things, {"Load": 1, "Power": 2})
    assert await things.desired.clear(GATEWAY, ["Load", "Note"]) == {"Load": 1, "Note": 0}
    assert set(await held(things)) == {"Power"}


async def test_requests_of_one_batch_are_done_in_order(things: ThingBench) -> None:
    await wish(things, {"Load": 1})
    await wish(things, {"Temp": 1}, device=SUB)
    await things.handle(
        [
            things.message(GET, ["Load"]),
            things.message(DELETE, {"Load": {}}),
            things.message(GET, ["Load"]),
            things.message(GET, [], SUB),
        ]
    )
    assert [sending.device for sending in things.kept.sent] == [GATEWAY, GATEWAY, GATEWAY, SUB]
    assert [(sending.origin, sending.handle) for sending in things.kept.sent] == [("gateway1", 77)] * 4
    assert [set(reply["data"]) for reply in things.kept.replies()] == [{"Load"}, set(), set(), {"Temp"}]


async def test_a_clearing_that_comes_again_or_late_clears_nothing_newer(things: ThingBench) -> None:
    clearing = things.message(DELETE, {"Load": {}}, epoch=5, sequence=2)
    await things.handle([clearing])
    await wish(things, {"Load": 1})
    for late in (clearing, things.message(DELETE, {}, epoch=5, sequence=1), things.message(DELETE, {}, epoch=4)):
        await things.handle([late])
        assert [reply["code"] for reply in things.kept.replies()] == [200]
        assert set(await held(things)) == {"Load"}
    await things.handle([things.message(DELETE, {}, epoch=6, sequence=1)])
    things.kept.sent.clear()
    assert await held(things) == {}


async def test_of_a_deleted_device_nothing_stays_unless_it_was_set_since(things: ThingBench) -> None:
    await wish(things, {"Load": 1})
    await things.desired.forget([(GATEWAY, NOW_MS - 1), (OTHER_SUB, NOW_MS)])
    assert set(await held(things)) == {"Load"}
    await things.desired.forget([(GATEWAY, NOW_MS)])
    assert await held(things) == {}
    assert await wish(things, {"Load": 1}) == {"Load": 1}


async def test_a_store_that_cannot_be_read_is_6661(things: ThingBench) -> None:
    await things.redis.one(cmd("SET", "desired:{gwpk/gateway}", "not a hash"))
    assert (await things.post(GET, ["Load"]))["code"] == 6661


async def test_a_reply_that_no_message_could_carry_is_6661(things: ThingBench) -> None:
    # Longer than a property may be, so that one is enough.
    await RedisDesired(things.redis).set(GATEWAY, {"Note": "x" * 300_000}, {}, NOW_MS)
    reply = await things.post(GET, ["Note"])
    assert (reply["code"], reply["data"]) == (6661, {})


async def test_who_wants_no_reply_has_none(things: ThingBench) -> None:
    await things.handle([things.message(GET, b'{"id":"1","sys":{"ack":0},"params":[]}')])
    assert things.kept.replies() == []


async def test_malformed_requests_have_clear_codes_in_bounded_time(things: ThingBench) -> None:
    await wish(things, {"Load": 1})
    deep = b"[" * 1000 + b"]" * 1000
    wide = b"{" + b",".join(b'"k%d":{}' % number for number in range(100_000)) + b"}"
    many = b"[" + b",".join(b'"k%d"' % number for number in range(100_000)) + b"]"
    started = time.process_time()
    for below, payload, code in (
        (GET, b"", 400),
        (GET, b"[]", 400),
        (DELETE, b"{", 400),
        (GET, b"{}", 460),
        (DELETE, b"{}", 460),
        (GET, b'{"params":%s}' % deep, 460),
        (DELETE, b'{"params":%s}' % deep, 460),
        (GET, b'{"params":%s}' % wide, 460),
        (DELETE, b'{"params":%s}' % wide, 6104),
        (GET, b'{"params":%s}' % many, 6104),
        (DELETE, b'{"params":{"Load":{"version":%s}}}' % deep, 460),
        (DELETE, b'{"params":{"Load":[]}}', 460),
        (GET, b'{"params":["\\u0000","}{",""]}', 200),
        (DELETE, b'{"params":{"}{":{},"":{}}}', 200),
    ):
        assert (await things.post(below, payload))["code"] == code, (below, payload[:60])
    assert time.process_time() - started < 5
    assert set(await held(things)) == {"Load"}
