"""The thing model, driven as a device and through the signed API (device-mqtt §2 and §4, open-api §4)."""

import asyncio
import json
import time
from typing import Any

from tests.integration.flows.steps import Sink, connected, eventually, new_device, running_rule
from tests.support.device import Device, Inbound
from tests.support.identity import Identity
from tests.support.openapi import OpenApi
from tests.support.platform import Platform

TSL = {
    "properties": [
        {
            "identifier": "Temp",
            "name": "Temperature",
            "accessMode": "rw",
            "dataType": {"type": "int", "specs": {"min": "0", "max": "100", "unit": "C"}},
        },
        {"identifier": "On", "name": "Switch", "dataType": {"type": "bool", "specs": {"0": "off", "1": "on"}}},
        {
            "identifier": "Note",
            "name": "Note",
            "accessMode": "r",
            "dataType": {"type": "text", "specs": {"length": "8"}},
        },
    ],
    "events": [
        {
            "identifier": "alarm",
            "name": "Alarm",
            "type": "alert",
            "outputData": [{"identifier": "code", "name": "code", "dataType": {"type": "int", "specs": {}}}],
        }
    ],
}
POST = "thing/event/property/post"


async def modelled(api: OpenApi, validate_type: int = 0) -> Identity:
    """A device of a product that has published the thing model above."""
    name = f"p_{time.time_ns()}"
    made = await api.ok("CreateProduct", ProductName=name, NodeType=0, ValidateType=validate_type)
    key = made["ProductKey"]
    await api.ok("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps(TSL))
    await api.ok("PublishThingModel", ProductKey=key)
    return await new_device(api, key)


async def asked(device: Device, identity: Identity, below: str, params: object, **members: object) -> dict[str, Any]:
    """Posts and gives the reply."""
    topic = f"/sys/{identity.product_key}/{identity.device_name}/{below}"
    request = {"id": "7", "version": "1.0", "params": params, "method": below.replace("/", "."), **members}
    device.publish(topic, json.dumps(request).encode())
    reply = await heard(device, topic + "_reply")
    answer: dict[str, Any] = json.loads(reply.payload)
    return answer


async def heard(device: Device, topic: str) -> Inbound:
    """The next message on that topic; what comes on others meanwhile is passed over."""
    while (message := await device.receive()).topic != topic:
        pass
    return message


async def latest(api: OpenApi, identity: Identity) -> dict[str, str]:
    answer = await api.ok("QueryDevicePropertyStatus", ProductKey=identity.product_key, DeviceName=identity.device_name)
    rows = answer["Data"]["List"]["PropertyStatusInfo"]
    return {row["Identifier"]: row["Value"] for row in rows if "Value" in row}


async def history(api: OpenApi, identity: Identity, identifier: str, **more: object) -> dict[str, Any]:
    span = {"StartTime": 0, "EndTime": 1 << 50, "PageSize": 10, "Asc": 1, **more}
    answer = await api.ok(
        "QueryDevicePropertyData",
        ProductKey=identity.product_key,
        DeviceName=identity.device_name,
        Identifier=identifier,
        **span,
    )
    data: dict[str, Any] = answer["Data"]
    return data


async def properties_are_posted_replied_stored_and_read(platform: Platform) -> None:
    api = platform.api()
    identity = await modelled(api)
    async with await connected(platform, identity) as device:
        reply = await asked(device, identity, POST, {"Temp": {"value": 20, "time": 1700000000000}, "On": 1, "Gone": 5})
        assert reply == {
            "id": "7", "code": 200, "message": "success", "data": {}, "method": "thing.event.property.post",
            "version": "1.0",
        }  # fmt: skip
        odd = f"1|exp-topic|/sys/{identity.product_key}"
        assert (await asked(device, identity, POST, {"Temp": 21, "Note": "warm"}, id=odd))["id"] == odd
        assert (await asked(device, identity, POST, {"Temp": 22}, id=12))["id"] == "12"
        assert await latest(api, identity) == {"Temp": "22", "On": "1", "Note": "warm"}
        page = await history(api, identity, "Temp", PageSize=2)
        assert [row["Value"] for row in page["List"]["PropertyInfo"]] == ["20", "21"]
        assert page["List"]["PropertyInfo"][0]["Time"] == "1700000000000"
        assert page["NextValid"] is True
        rest = await history(api, identity, "Temp", StartTime=page["NextTime"])
        assert [row["Value"] for row in rest["List"]["PropertyInfo"]] == ["22"]
        assert rest["NextValid"] is False


async def a_bad_property_is_treated_by_the_products_validation(platform: Platform) -> None:
    api = platform.api()
    for validate_type, code, kept in ((0, 6306, {}), (1, 200, {"On": "1"}), (2, 200, {"On": "1", "Temp": "500"})):
        identity = await modelled(api, validate_type)
        async with await connected(platform, identity) as device:
            reply = await asked(device, identity, POST, {"Temp": 500, "On": 1})
            assert reply["code"] == code
            assert "data" in reply
            assert await latest(api, identity) == kept
            assert len((await history(api, identity, "On"))["List"]["PropertyInfo"]) == len(kept.keys() & {"On"})


async def hostile_posts_are_refused_in_bounded_time(platform: Platform) -> None:
    api = platform.api()
    identity = await modelled(api)
    async with await connected(platform, identity) as device:
        topic = f"/sys/{identity.product_key}/{identity.device_name}/{POST}"
        started = time.monotonic()
        many = await asked(device, identity, POST, {f"p{number}": 1 for number in range(201)})
        assert many["code"] == 6106
        keys = await asked(device, identity, POST, {str(number): 1 for number in range(15_000)})
        assert keys["code"] == 6106
        deep = b'{"id":"8","params":{"Temp":' + b"[" * 1000 + b"]" * 1000 + b"}}"
        for payload, code in ((deep, 6306), (b"{", 400), (b"[]", 400), (b'{"id":"9","params":[]}', 460)):
            device.publish(topic, payload)
            assert json.loads((await heard(device, topic + "_reply")).payload)["code"] == code
            await asyncio.sleep(0.1)
        assert time.monotonic() - started < 10
        assert await latest(api, identity) == {}
        silent = {"id": "10", "sys": {"ack": 0}, "params": {"Temp": 5}}
        device.publish(topic, json.dumps(silent).encode())
        assert (await asked(device, identity, POST, {"On": 0}, id="11"))["id"] == "11"
        assert await latest(api, identity) == {"Temp": "5", "On": "0"}


async def events_batches_and_packs_are_posted(platform: Platform) -> None:
    api = platform.api()
    identity = await modelled(api)
    async with await connected(platform, identity) as device:
        wrapped = {"value": {"code": 3}, "time": 1700000000000}
        assert (await asked(device, identity, "thing/event/alarm/post", wrapped))["code"] == 200
        assert (await asked(device, identity, "thing/event/alarm/post", {"code": 4}))["code"] == 200
        assert (await asked(device, identity, "thing/event/alarm/post", {"code": "x"}))["code"] == 6306
        assert (await asked(device, identity, "thing/event/other/post", {"code": 4}))["code"] == 6300
        batch = {
            "properties": {"Temp": [{"value": 1, "time": 1700000000001}, {"value": 2, "time": 1700000000002}]},
            "events": {"alarm": [{"value": {"code": 5}, "time": 1700000000003}]},
        }
        assert (await asked(device, identity, "thing/event/property/batch/post", batch))["code"] == 200
        pack = {"properties": {"On": {"value": 1, "time": 1700000000004}}, "events": {"alarm": {"value": {"code": 6}}}}
        assert (await asked(device, identity, "thing/event/property/pack/post", pack))["code"] == 200
        assert await latest(api, identity) == {"Temp": "2", "On": "1"}
        values = (await history(api, identity, "Temp"))["List"]["PropertyInfo"]
        assert [row["Value"] for row in values] == ["1", "2"]
        answer = await api.ok(
            "QueryDeviceEventData", ProductKey=identity.product_key, DeviceName=identity.device_name,
            EventType="alert", StartTime=0, EndTime=1 << 50, PageSize=10, Asc=1,
        )  # fmt: skip
        events = answer["Data"]["List"]["EventInfo"]
        assert sorted(json.loads(row["OutputData"])["code"] for row in events) == [3, 4, 5, 6]
        assert events[0]["Name"] == "Alarm"


async def thing_data_feeds_rules_on_system_topics(platform: Platform) -> None:
    api = platform.api()
    identity = await modelled(api)
    sink = await Sink(platform, "temp integer, iot text, seen bigint").create(api)
    fields = {"temp": "${temp}", "iot": "${iot}", "seen": "${seen}"}
    await running_rule(
        api,
        identity.product_key,
        "items.Temp.value AS temp, iotId AS iot, items.Temp.time AS seen",
        "RDS",
        json.dumps(sink.action(fields)),
        short="+/thing/event/property/post",
        topic_type=0,
    )
    async with await connected(platform, identity) as device:
        post = {"Temp": {"value": 30, "time": 1700000000000}}
        assert (await asked(device, identity, POST, post))["code"] == 200

        async def stored() -> list[dict[str, Any]]:
            return await sink.rows()

        (row,) = await eventually(stored)
        assert (row["temp"], row["seen"]) == (30, 1700000000000)
        assert row["iot"]


async def a_property_is_set_and_a_newer_thing_model_takes_effect(platform: Platform) -> None:
    api = platform.api()
    identity = await modelled(api)
    named = {"ProductKey": identity.product_key, "DeviceName": identity.device_name}
    async with await connected(platform, identity) as device:
        topic = f"/sys/{identity.product_key}/{identity.device_name}/thing/service/property/set"
        sent = await api.ok("SetDeviceProperty", **named, Items=json.dumps({"Temp": 30}))
        command = json.loads((await heard(device, topic)).payload)
        assert command == {
            "id": sent["Data"]["MessageId"], "version": "1.0", "params": {"Temp": 30},
            "method": "thing.service.property.set",
        }  # fmt: skip
        again = await api.ok("SetDeviceProperty", **named, Items=json.dumps({"On": 1}))
        assert int(again["Data"]["MessageId"]) == int(sent["Data"]["MessageId"]) + 1
        for bad in ('{"Temp":500}', '{"Note":"x"}', '{"Gone":1}', "{}", "["):
            refused = await api.call("SetDeviceProperty", **named, Items=bad)
            assert refused["Code"] == "iot.device.SetDevicePropertyFailed", bad
        wider = json.loads(json.dumps(TSL).replace('"max": "100"', '"max": "900"'))
        await api.ok("ImportThingModelTsl", ProductKey=identity.product_key, TslStr=json.dumps(wider))
        assert (await asked(device, identity, POST, {"Temp": 500}))["code"] == 6306
        await api.ok("PublishThingModel", ProductKey=identity.product_key)

        async def accepted() -> bool:
            await asyncio.sleep(0.2)
            return bool((await asked(device, identity, POST, {"Temp": 500}))["code"] == 200)

        assert await eventually(accepted)


FLOWS = (
    properties_are_posted_replied_stored_and_read,
    a_bad_property_is_treated_by_the_products_validation,
    hostile_posts_are_refused_in_bounded_time,
    events_batches_and_packs_are_posted,
    thing_data_feeds_rules_on_system_topics,
    a_property_is_set_and_a_newer_thing_model_takes_effect,
)
