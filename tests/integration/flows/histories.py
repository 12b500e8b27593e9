"""Packs that speak for sub-devices, histories, and reading them back (device-mqtt §4, server-subscription §4)."""

import asyncio
import json
import secrets
import time
from typing import Any

from tests.integration.flows.steps import Sink, connected, eventually, new_device, running_rule
from tests.integration.flows.things import POST, TSL, asked, heard, history, latest, modelled
from tests.support.gateway_device import GatewayDevice, name
from tests.support.identity import Identity
from tests.support.openapi import OpenApi
from tests.support.platform import Platform

PACK, HISTORY = "thing/event/property/pack/post", "thing/event/property/history/post"
THEN = 1_600_000_000_000


async def new_gateway(api: OpenApi) -> Identity:
    """Of a product whose thing model is that of `things`."""
    key = str((await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=1))["ProductKey"])
    await api.ok("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps(TSL))
    await api.ok("PublishThingModel", ProductKey=key)
    return await new_device(api, key)


def at(value: object, time_ms: int) -> dict[str, object]:
    return {"value": value, "time": time_ms}


async def told(api: OpenApi, platform: Platform, identity: Identity, short: str, select: str) -> Sink:
    """Where a rule puts `temp` of what the product's devices report on a system topic."""
    sink = await Sink(platform, "temp integer, device text").create(api)
    configuration = json.dumps(sink.action({"temp": "${temp}", "device": "${device}"}))
    fields = f"{select} AS temp, deviceName AS device"
    await running_rule(api, identity.product_key, fields, "RDS", configuration, short=short, topic_type=0)
    return sink


async def rows(sink: Sink, count: int) -> list[tuple[int, str]]:
    async def enough() -> list[dict[str, Any]]:
        found = await sink.rows()
        return found if len(found) >= count else []

    return sorted((row["temp"], row["device"]) for row in await eventually(enough))


async def a_pack_of_a_gateway_is_what_each_sub_device_would_have_posted(platform: Platform) -> None:
    api = platform.api()
    identity, first = await new_gateway(api), await modelled(api)
    second = await new_device(api, first.product_key)
    stranger = await new_device(api, first.product_key)
    sink = await told(api, platform, first, "+/" + POST, "items.Temp.value")
    async with await connected(platform, identity) as device:
        assert (await GatewayDevice(device).add(first, second))["code"] == 200
        report = {"identity": name(first), "properties": {"Temp": at(20, THEN)}, "events": {"alarm": {"value": {}}}}
        pack = {
            "properties": {"Temp": 1},
            "events": {"alarm": {"value": {"code": 1}}},
            "subDevices": [
                report,
                {"identity": name(second), "properties": {"Temp": 21, "Gone": 1}},
            ],
        }
        assert (await asked(device, identity, PACK, pack))["code"] == 200
        assert [await latest(api, one) for one in (identity, first, second)] == [
            {"Temp": "1"}, {"Temp": "20"}, {"Temp": "21"},
        ]  # fmt: skip
        kept = (await history(api, first, "Temp"))["List"]["PropertyInfo"]
        assert kept == [{"Time": str(THEN), "Value": "20"}]
        assert await rows(sink, 2) == [(20, first.device_name), (21, second.device_name)]
        foreign = {"subDevices": [report, {"identity": name(stranger), "properties": {"Temp": 9}}]}
        assert (await asked(device, identity, PACK, foreign))["code"] == 6401
        bad = {"subDevices": [{"identity": name(first), "properties": {"Temp": 500}}]}
        assert (await asked(device, identity, PACK, bad))["code"] == 6306
        many = {"subDevices": [{"identity": name(first)}] * 21}
        assert (await asked(device, identity, PACK, many))["code"] == 6357
        assert await latest(api, first) == {"Temp": "20"}
        assert await latest(api, stranger) == {}
    async with await connected(platform, first) as sub:
        alone = {"subDevices": [{"identity": name(second), "properties": {"Temp": 9}}]}
        assert (await asked(sub, first, PACK, alone))["code"] == 6401


async def a_history_is_read_by_its_times_and_told_to_rules_as_history(platform: Platform) -> None:
    api = platform.api()
    identity, sub = await new_gateway(api), await modelled(api)
    now = await told(api, platform, sub, "+/" + POST, "items.Temp.value")
    past = await told(api, platform, sub, "+/" + HISTORY, "items.Temp.value")
    alarms = await told(api, platform, sub, "+/thing/event/alarm/history/post", "value.code")
    async with await connected(platform, identity) as device:
        assert (await GatewayDevice(device).add(sub))["code"] == 200
        assert (await asked(device, identity, POST, {"Temp": at(50, THEN + 5)}))["code"] == 200
        params = [
            {"identity": name(identity), "properties": [{"Temp": at(1, THEN + 1)}, {"Temp": at(2, THEN + 2)}]},
            {
                "identity": name(sub),
                "properties": [{"Temp": at(3, THEN + 3), "On": at(1, THEN + 3)}, {"Temp": at(4, THEN + 4)}],
                "events": [{"alarm": at({"code": 7}, THEN)}],
            },
        ]
        assert (await asked(device, identity, HISTORY, params))["code"] == 200
        values = [row["Value"] for row in (await history(api, identity, "Temp"))["List"]["PropertyInfo"]]
        assert values == ["1", "2", "50"]
        # Only what is newer than the latest value replaces it.
        assert [await latest(api, one) for one in (identity, sub)] == [{"Temp": "50"}, {"Temp": "4", "On": "1"}]
        newer = [{"properties": [{"Temp": at(6, THEN + 6)}]}]
        assert (await asked(device, identity, HISTORY, newer))["code"] == 200
        assert await latest(api, identity) == {"Temp": "6"}
        assert await rows(past, 2) == [(3, sub.device_name), (4, sub.device_name)]
        assert await rows(alarms, 1) == [(7, sub.device_name)]
        assert await now.rows() == []
        ahead = [{"properties": [{"Temp": at(7, int(time.time() * 1000) + 3_600_000)}]}]
        assert (await asked(device, identity, HISTORY, ahead))["code"] == 6326
        assert (await asked(device, identity, HISTORY, [{"properties": [{"Temp": 7}]}]))["code"] == 6326
        assert (await asked(device, identity, HISTORY, [{"identity": {**name(sub), "deviceName": "x"}}]))[
            "code"
        ] == 6401


async def several_properties_are_read_in_pages_that_go_on_together(platform: Platform) -> None:
    api = platform.api()
    identity = await modelled(api)
    async with await connected(platform, identity) as device:
        entries = [{"Temp": at(number, THEN + number)} for number in range(7)]
        entries += [{"On": at(number % 2, THEN + 10 * number)} for number in range(3)]
        assert (await asked(device, identity, HISTORY, [{"properties": entries}]))["code"] == 200
    for ascending, start, end in ((1, THEN, THEN + 99), (0, THEN, THEN + 99)):
        found: dict[str, list[str]] = {"Temp": [], "On": []}
        pages = 0
        while True:
            answer = await api.ok(
                "QueryDevicePropertiesData", ProductKey=identity.product_key, DeviceName=identity.device_name,
                Identifier=["Temp", "On"], StartTime=start, EndTime=end, PageSize=3, Asc=ascending,
            )  # fmt: skip
            for one in answer["PropertyDataInfos"]["PropertyDataInfo"]:
                assert len(one["List"]["PropertyInfo"]) <= 3
                found[one["Identifier"]] += [row["Value"] for row in one["List"]["PropertyInfo"]]
            pages += 1
            if not answer["NextValid"]:
                break
            start, end = (answer["NextTime"], end) if ascending else (start, answer["NextTime"])
        values = {"Temp": [str(number) for number in range(7)], "On": ["0", "1", "0"]}
        assert found == (values if ascending else {one: all_of[::-1] for one, all_of in values.items()})
        assert pages > 1


async def hostile_packs_and_histories_are_refused_in_bounded_time(platform: Platform) -> None:
    api = platform.api()
    identity = await new_gateway(api)
    async with await connected(platform, identity) as device:
        started = time.monotonic()
        wide = {str(number): 1 for number in range(15_000)}
        assert (await asked(device, identity, PACK, {"properties": wide}))["code"] == 6106
        assert (await asked(device, identity, PACK, {"subDevices": wide}))["code"] == 460
        assert (await asked(device, identity, PACK, []))["code"] == 460
        assert (await asked(device, identity, HISTORY, {}))["code"] == 460
        assert (await asked(device, identity, HISTORY, [{}] * 15_000))["code"] == 6357
        entry = {"Temp": at(1, THEN)}
        assert (await asked(device, identity, HISTORY, [{"properties": [entry] * 201}]))["code"] == 6106
        event = {"alarm": at({"code": 1}, THEN)}
        assert (await asked(device, identity, HISTORY, [{"events": [event] * 201}]))["code"] == 6356
        deep = b'{"id":"8","params":' + b"[" * 1000 + b"]" * 1000 + b"}"
        for below in (PACK, HISTORY):
            topic = f"/sys/{identity.product_key}/{identity.device_name}/{below}"
            for payload, code in ((deep, 460), (b"{", 400), (b"[]", 400), (b"\xff", 400)):
                device.publish(topic, payload)
                assert json.loads((await heard(device, topic + "_reply")).payload)["code"] == code
                await asyncio.sleep(0.1)
        assert time.monotonic() - started < 15
        assert await latest(api, identity) == {}


FLOWS = (
    a_pack_of_a_gateway_is_what_each_sub_device_would_have_posted,
    a_history_is_read_by_its_times_and_told_to_rules_as_history,
    several_properties_are_read_in_pages_that_go_on_together,
    hostile_packs_and_histories_are_refused_in_bounded_time,
)
