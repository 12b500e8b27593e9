"""Packs of gateways and histories, over a real Redis and a real PostgreSQL."""

import time

import pytest

from tests.support.shadow_things import (
    EVER,
    GATEWAY,
    NOW_MS,
    OTHER_SUB,
    SILENT_SUB,
    SUB,
    WEAK_SUB,
    ThingBench,
)
from thinghub.common.errors import Fault, RemoteFault, Unavailable
from thinghub.shadow.ports.documents import Device

PACK = "thing/event/property/pack/post"
HISTORY = "thing/event/property/history/post"
POST = "thing/event/property/post"


def part(device: Device, properties: object = None, events: object = None) -> dict[str, object]:
    identity = {"productKey": device.product_key, "deviceName": device.device_name}
    return {"identity": identity, "properties": properties, "events": events}


def at(value: object, time_ms: int) -> dict[str, object]:
    return {"value": value, "time": time_ms}


async def test_a_pack_leaves_behind_what_each_devices_own_post_would(things: ThingBench) -> None:
    pack = {
        "properties": {"Load": 3},
        "events": {"alarm": {"value": {"code": 1}}},
        "subDevices": [
            part(SUB, {"Temp": at(20, NOW_MS - 5), "Gone": 1}, {"alarm": {"value": {"code": 2}}}),
            part(OTHER_SUB, {"Temp": 21}),
        ],
    }
    reply = await things.post(PACK, pack)
    assert (reply["code"], reply["data"], reply["method"]) == (200, {}, PACK.replace("/", "."))
    assert await things.latest(GATEWAY, "Load") == [3]
    assert await things.latest(SUB, "Temp", "Gone") == [20, None]
    assert await things.latest(OTHER_SUB, "Temp") == [21]
    assert [await things.values(device, "Temp") for device in (SUB, OTHER_SUB)] == [[20], [21]]
    assert [one.value for one in await things.history.events(SUB, "alarm", "", EVER)] == ['{"code":2}']
    told = things.kept.told()
    (body,) = told["/subpk/sub1/thing/event/property/post"]
    assert body == {
        "iotId": "iot-sub1", "productKey": "subpk", "deviceName": "sub1", "gmtCreate": NOW_MS, "deviceType": "Sensor",
        "requestId": "1", "checkFailedData": {}, "items": {"Temp": {"value": 20, "time": NOW_MS - 5}},
    }  # fmt: skip
    assert set(told) == {
        "/gwpk/gateway/thing/event/property/post", "/gwpk/gateway/thing/event/alarm/post",
        "/subpk/sub1/thing/event/property/post", "/subpk/sub1/thing/event/alarm/post",
        "/subpk/sub2/thing/event/property/post",
    }  # fmt: skip


async def test_who_is_no_sub_device_of_the_gateway_refuses_all_of_it(things: ThingBench) -> None:
    stranger = Device("subpk", "stranger")
    things.registry.devices.add(stranger)
    for device in (stranger, Device("gone", "none"), GATEWAY):
        pack = {"properties": {"Load": 3}, "subDevices": [part(SUB, {"Temp": 20}), part(device, {"Temp": 1})]}
        assert (await things.post(PACK, pack))["code"] == 6401
    assert (await things.post(PACK, {"subDevices": [part(GATEWAY, {})]}, SUB))["code"] == 6401
    assert (await things.post(HISTORY, [part(stranger, [])]))["code"] == 6401
    assert await things.latest(SUB, "Temp") == await things.latest(GATEWAY, "Load") == [None]
    assert things.kept.told() == {}


async def test_each_part_is_judged_by_its_own_products_model(things: ThingBench) -> None:
    bad = {"subDevices": [part(SUB, {"Temp": 20}), part(OTHER_SUB, {"Temp": 100})]}
    reply = await things.post(PACK, bad)
    assert (reply["code"], reply["message"].endswith("of subpk/sub2")) == (6306, True)
    assert await things.latest(SUB, "Temp") == [None]
    weak = {"properties": {"Load": 1}, "subDevices": [part(WEAK_SUB, {"Temp": 100, "Note": "hi"})]}
    assert (await things.post(PACK, weak))["code"] == 200
    assert await things.latest(WEAK_SUB, "Temp", "Note") == [None, "hi"]
    (body,) = things.kept.told()["/weakpk/weak1/thing/event/property/post"]
    assert body["checkFailedData"]["Temp"]["code"] == 6306
    assert (await things.post(PACK, {"subDevices": [part(SUB, {}, {"gone": {}})]}))["code"] == 6300


async def test_bounds_count_over_the_whole_post(things: ThingBench) -> None:
    full = [part(SUB, [{"Temp": at(1, n), "Power": at(1, n)} for n in range(1, 51)])] * 2
    assert (await things.post(HISTORY, full))["code"] == 200
    assert (await things.post(HISTORY, [*full, part(GATEWAY, [{"Load": at(1, 1)}])]))["code"] == 6106
    events = [{"alarm": at({"code": 1}, n)} for n in range(1, 102)]
    assert (await things.post(HISTORY, [part(SUB, None, events), part(OTHER_SUB, None, events)]))["code"] == 6356
    assert (await things.post(PACK, {"subDevices": [part(SUB)] * 21}))["code"] == 6357


async def test_a_product_that_is_not_stored_has_no_history(things: ThingBench) -> None:
    pack = {"subDevices": [part(SILENT_SUB, {"Temp": 20}, {"alarm": {"value": {"code": 2}}})]}
    assert (await things.post(PACK, pack))["code"] == 200
    assert (await things.post(HISTORY, [part(SILENT_SUB, [{"Temp": at(1, 5)}])]))["code"] == 200
    assert (await things.post(POST, {"Temp": 22}, SILENT_SUB))["code"] == 200
    assert await things.latest(SILENT_SUB, "Temp") == [22]
    assert await things.values(SILENT_SUB, "Temp") == []
    assert await things.history.events(SILENT_SUB, "", "", EVER) == []
    assert "/silentpk/silent1/thing/event/property/post" in things.kept.told()


async def test_a_pack_that_comes_again_or_late_changes_nothing(things: ThingBench) -> None:
    pack = things.message(PACK, {"subDevices": [part(SUB, {"Temp": 20})]}, epoch=5, sequence=1)
    newer = things.message(PACK, {"subDevices": [part(SUB, {"Temp": 30})]}, epoch=5, sequence=2)
    await things.handle([pack, newer])
    first = {one.id for one in things.kept.data}
    for late in (pack, newer, things.message(PACK, {"subDevices": [part(SUB, {"Temp": 1})]}, epoch=4, sequence=99)):
        await things.handle([late])
        assert await things.latest(SUB, "Temp") == [30]
    assert sorted(await things.values(SUB, "Temp")) == [1, 20, 30]
    assert len({one.id for one in things.kept.data} - first) == 1


async def test_a_sub_devices_own_session_and_its_gateways_packs_do_not_fence_each_other(things: ThingBench) -> None:
    await things.post(POST, {"Temp": 1, "Power": 1}, SUB, epoch=9, sequence=9)
    await things.post(PACK, {"subDevices": [part(SUB, {"Temp": 2})]}, epoch=5, sequence=1)
    assert await things.latest(SUB, "Temp", "Power") == [2, 1]
    await things.post(POST, {"Temp": 3}, SUB, epoch=9, sequence=10)
    assert await things.latest(SUB, "Temp") == [3]


async def test_topology_is_asked_once_a_batch_and_remembered_for_a_while(things: ThingBench) -> None:
    pack = {"subDevices": [part(SUB, {"Temp": 20}), part(OTHER_SUB, {"Temp": 20})]}
    await things.handle([things.message(PACK, pack) for _ in range(10)])
    assert things.registry.asked == 1
    await things.handle([things.message(PACK, {"properties": {"Load": 1}})])
    assert things.registry.asked == 1
    things.registry.relations.clear()
    things.seconds += 11
    things.kept.sent.clear()
    assert (await things.post(PACK, pack))["code"] == 6401
    assert things.registry.asked == 2


async def test_while_topology_cannot_be_asked_the_batch_comes_again(things: ThingBench) -> None:
    message = things.message(PACK, {"subDevices": [part(SUB, {"Temp": 20})]})
    for fault in (Unavailable("no registry"), RemoteFault("Internal", "internal", "")):
        things.registry.fault = fault
        with pytest.raises(Fault):
            await things.handle([message])
    things.registry.fault = None
    await things.handle([message])
    assert await things.latest(SUB, "Temp") == [20]


async def test_a_gateway_that_is_gone_holds_nothing(things: ThingBench) -> None:
    things.registry.fault = RemoteFault("NotFound", "device_not_found", "")
    assert (await things.post(PACK, {"subDevices": [part(SUB, {"Temp": 20})]}))["code"] == 6401


async def test_a_history_is_stored_by_its_times_and_told_as_history(things: ThingBench) -> None:
    history = [
        {"properties": [{"Load": at(1, 1000), "Power": at(5, 1000)}, {"Load": at(2, 2000)}]},
        part(SUB, [{"Temp": at(20, 1500)}], [{"alarm": at({"code": 2}, 1600)}]),
    ]
    reply = await things.post(HISTORY, history)
    assert (reply["code"], reply["method"]) == (200, HISTORY.replace("/", "."))
    assert await things.values(GATEWAY, "Load") == [1, 2]
    early = EVER._replace(end_ms=1000)
    assert await things.values(GATEWAY, "Load", early) == [1]
    (event,) = await things.history.events(SUB, "", "", EVER)
    assert (event.time_ms, event.value) == (1600, '{"code":2}')
    told = things.kept.told()
    first, second = told["/gwpk/gateway/thing/event/property/history/post"]
    assert first["items"] == {"Load": at(1, 1000), "Power": at(5, 1000)}
    assert second["items"] == {"Load": at(2, 2000)}
    assert set(told) == {
        "/gwpk/gateway/thing/event/property/history/post",
        "/subpk/sub1/thing/event/property/history/post",
        "/subpk/sub1/thing/event/alarm/history/post",
    }


async def test_latest_values_only_move_forward_in_time_by_a_history(things: ThingBench) -> None:
    await things.post(POST, {"Load": at(50, 5000)})
    for value, time_ms, latest in ((1, 4000, 50), (2, 5000, 50), (3, 6000, 3), (4, 5500, 3)):
        await things.post(HISTORY, [{"properties": [{"Load": at(value, time_ms)}]}])
        assert await things.latest(GATEWAY, "Load") == [latest]
    assert await things.values(GATEWAY, "Load") == [1, 50, 2, 4, 3]
    await things.post(HISTORY, [{"properties": [{"Load": at(7, 9000)}, {"Load": at(8, 8000)}]}])
    assert await things.latest(GATEWAY, "Load") == [7]


async def test_a_history_that_comes_again_is_there_once(things: ThingBench) -> None:
    message = things.message(HISTORY, [part(SUB, [{"Temp": at(20, 1500)}, {"Temp": at(21, 1600)}])] * 2)
    await things.handle([message])
    told = [one.id for one in things.kept.data]
    things.kept.data.clear()
    await things.handle([message])
    assert [one.id for one in things.kept.data] == told
    assert len(set(told)) == 4
    assert await things.values(SUB, "Temp") == [20, 20, 21, 21]


async def test_a_post_of_several_times_is_found_by_each(things: ThingBench) -> None:
    several = [at(number, 1000 * number) for number in range(1, 6)]
    assert (await things.post("thing/event/property/batch/post", {"properties": {"Load": several}}))["code"] == 200
    assert await things.values(GATEWAY, "Load", EVER._replace(end_ms=2500)) == [1, 2]
    assert await things.values(GATEWAY, "Load", EVER._replace(ascending=False, limit=1)) == [5, 4]
    again = things.message(POST, {"Load": at(6, 6000), "Power": at(7, 9000)})
    for _ in range(2):
        await things.handle([again])
    assert await things.values(GATEWAY, "Load", EVER._replace(start_ms=5500, end_ms=7000)) == [6]
    assert await things.values(GATEWAY, "Power") == [7]


async def test_of_a_deleted_device_no_latest_value_stays(things: ThingBench) -> None:
    await things.post(POST, {"Load": 1}, epoch=NOW_MS * 1000)
    await things.relayed.forget([(GATEWAY, NOW_MS - 1)])
    assert await things.latest(GATEWAY, "Load") == [1]
    await things.relayed.forget([(GATEWAY, NOW_MS)])
    assert await things.latest(GATEWAY, "Load") == [None]


async def test_malformed_bodies_have_clear_codes_in_bounded_time(things: ThingBench) -> None:
    deep = b"[" * 1000 + b"]" * 1000
    wide = b"{" + b",".join(b'"k%d":1' % number for number in range(100_000)) + b"}"
    started = time.process_time()
    for below, payload, code in (
        (PACK, b"{", 400),
        (PACK, b"[]", 400),
        (HISTORY, b"\xff\xfe", 400),
        (PACK, b'{"params":[]}', 460),
        (PACK, b"{}", 460),
        (HISTORY, b'{"params":{}}', 460),
        (HISTORY, b'{"params":5}', 460),
        (PACK, b'{"params":%s}' % deep, 460),
        (HISTORY, b'{"params":%s}' % deep, 460),
        (PACK, b'{"params":%s}' % wide, 200),
        (HISTORY, b'{"params":%s}' % wide, 460),
        (PACK, b'{"params":{"properties":%s}}' % wide, 6106),
        (PACK, b'{"params":{"events":%s}}' % wide, 6300),
        (PACK, b'{"params":{"subDevices":%s}}' % wide, 460),
        (PACK, b'{"params":{"properties":{"Note":%s}}}' % deep, 6310),
        (PACK, b'{"params":{"properties":{"Spot":{"x":%s}}}}' % deep, 6312),
        (HISTORY, b'{"params":[{"properties":[{"Spot":{"value":{"x":%s},"time":1}}]}]}' % deep, 6312),
        (HISTORY, b'{"params":[{"properties":%s}]}' % wide, 6106),
        (HISTORY, b'{"params":[{"identity":%s}]}' % wide, 460),
        (HISTORY, b'{"params":[{"events":[{"alarm":{"value":{"code":1,"x":%s},"time":1}}]}]}' % deep, 6312),
    ):
        assert (await things.post(below, payload))["code"] == code, (below, payload[:60])
    assert time.process_time() - started < 5
    assert things.kept.told() == {}


async def test_a_batch_of_the_largest_posts_is_stored_whole(things: ThingBench) -> None:
    entries = [{"Temp": at(number % 99, 1000 + number)} for number in range(200)]
    batch = [things.message(HISTORY, [part(SUB, entries)]) for _ in range(60)]
    await things.handle(batch)
    async with things.history.connected(10) as connection:
        assert await connection.fetchval("SELECT count(*) FROM property_post") == 12_000
    assert len(things.kept.data) == 12_000
    assert {reply["code"] for reply in things.kept.replies()} == {200}
