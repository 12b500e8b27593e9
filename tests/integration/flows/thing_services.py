"""Services of the thing model, called through the signed API and answered as a device (device-mqtt §4, open-api §4)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tests.integration.flows.steps import Sink, connected, eventually, new_device, running_rule, until_status
from tests.integration.flows.things import heard
from tests.support.device import Device, Inbound
from tests.support.identity import Identity
from tests.support.openapi import OpenApi
from tests.support.platform import Platform


def _number(name: str, most: int = 100, required: bool = True) -> dict[str, object]:
    specs = {"min": "0", "max": str(most)}
    return {"identifier": name, "name": name, "required": required, "dataType": {"type": "int", "specs": specs}}


def _service(name: str, call_type: str, *inputs: dict[str, object]) -> dict[str, object]:
    return {
        "identifier": name, "name": name.title(), "callType": call_type, "inputData": list(inputs),
        "outputData": [_number("res", required=False)],
    }  # fmt: skip


TSL = {
    "properties": [_number("Temp")],
    "services": [
        _service("reboot", "async", _number("delay")),
        _service("sum", "sync", _number("a"), _number("b", required=False)),
    ],
    "functionBlocks": [
        {"functionBlockId": "motor", "functionBlockName": "Motor", "services": [_service("spin", "async")]}
    ],
}


async def serving(api: OpenApi) -> Identity:
    """A device of a product with the services above."""
    made = await api.ok("CreateProduct", ProductName=f"p_{time.time_ns()}", NodeType=0)
    key = made["ProductKey"]
    await api.ok("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps(TSL))
    await api.ok("PublishThingModel", ProductKey=key)
    return await new_device(api, key)


def named(identity: Identity) -> dict[str, str]:
    return {"ProductKey": identity.product_key, "DeviceName": identity.device_name}


def topic_of(identity: Identity, below: str) -> str:
    return f"/sys/{identity.product_key}/{identity.device_name}/{below}"


def answer(device: Device, topic: str, call_id: object, code: object = 200, data: object = None) -> None:
    device.publish(topic, json.dumps({"id": call_id, "code": code, "data": data or {}}).encode())


async def calls(api: OpenApi, identity: Identity, **more: object) -> dict[str, Any]:
    span = {"StartTime": 0, "EndTime": 1 << 50, "PageSize": 10, "Asc": 1, **more}
    data: dict[str, Any] = (await api.ok("QueryDeviceServiceData", **named(identity), **span))["Data"]
    return data


async def answered(api: OpenApi, identity: Identity, count: int) -> list[dict[str, Any]]:
    """The calls, once so many of them have an answer."""

    async def all_of_them() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await calls(api, identity))["List"]["ServiceInfo"]
        return rows if sum("OutputData" in row for row in rows) >= count else []

    rows: list[dict[str, Any]] = await eventually(all_of_them)
    assert rows, f"never had {count} answers: {await calls(api, identity)}"
    return rows


@asynccontextmanager
async def answering(device: Device, reply: object) -> AsyncIterator[list[Inbound]]:
    """Answers the next synchronous call with `reply`, bytes as they are, else as its data; gives what came."""
    came: list[Inbound] = []

    async def serve() -> None:
        while True:
            request = await device.receive(60)
            came.append(request)
            if request.topic.startswith("/ext/rrpc/"):
                where = request.topic
            elif "/rrpc/request/" in request.topic:
                where = request.topic.replace("/rrpc/request/", "/rrpc/response/")
            else:
                continue
            if isinstance(reply, bytes):
                device.publish(where, reply)
            else:
                answer(device, where, json.loads(request.payload)["id"], data=reply)

    task = asyncio.create_task(serve())
    try:
        yield came
    finally:
        task.cancel()


async def an_asynchronous_service_is_called_answered_recorded_and_told_to_rules(platform: Platform) -> None:
    api = platform.api()
    identity = await serving(api)
    sink = await Sink(platform, "asked text, request bigint, code integer, res integer").create(api)
    fields = {"asked": "${asked}", "request": "${request}", "code": "${code}", "res": "${res}"}
    await running_rule(
        api, identity.product_key, "topic AS asked, requestId AS request, code, data.res AS res", "RDS",
        json.dumps(sink.action(fields)), short="+/thing/downlink/reply/message", topic_type=0,
    )  # fmt: skip
    async with await connected(platform, identity) as device:
        sent = await api.ok("InvokeThingService", **named(identity), Identifier="reboot", Args='{"delay":3}')
        topic = topic_of(identity, "thing/service/reboot")
        call = await heard(device, topic)
        assert (call.qos, sent["Data"].keys()) == (1, {"MessageId"})
        assert json.loads(call.payload) == {
            "id": sent["Data"]["MessageId"], "version": "1.0", "params": {"delay": 3},
            "method": "thing.service.reboot",
        }  # fmt: skip
        (row,) = (await calls(api, identity))["List"]["ServiceInfo"]
        assert "OutputData" not in row
        answer(device, topic + "_reply", sent["Data"]["MessageId"], data={"res": 7})
        (row,) = await answered(api, identity, 1)
        assert (row["Identifier"], row["Name"], json.loads(row["InputData"])) == ("reboot", "Reboot", {"delay": 3})
        assert json.loads(row["OutputData"]) == {"res": 7}
        assert abs(int(row["Time"]) / 1000 - time.time()) < 60

        spun = await api.ok("InvokeThingService", **named(identity), Identifier="motor:spin")
        module = topic_of(identity, "thing/service/motor:spin")
        assert json.loads((await heard(device, module)).payload)["method"] == "thing.service.motor:spin"
        answer(device, module + "_reply", spun["Data"]["MessageId"], code=5001)
        was_set = await api.ok("SetDeviceProperty", **named(identity), Items='{"Temp":5}')
        setting = topic_of(identity, "thing/service/property/set")
        assert (await heard(device, setting)).qos == 1
        answer(device, setting + "_reply", was_set["Data"]["MessageId"])
        assert [one["Identifier"] for one in await answered(api, identity, 3)] == ["reboot", "motor:spin", "set"]
        first = await calls(api, identity, PageSize=1)
        assert (first["NextValid"], len(first["List"]["ServiceInfo"])) == (True, 1)
        only = await calls(api, identity, Identifier="set")
        assert [json.loads(one["InputData"]) for one in only["List"]["ServiceInfo"]] == [{"Temp": 5}]

        told = await told_to_rules(sink, 3)
        assert told == {
            topic: (int(sent["Data"]["MessageId"]), 200, 7),
            module: (int(spun["Data"]["MessageId"]), 5001, None),
            setting: (int(was_set["Data"]["MessageId"]), 200, None),
        }
    await until_status(api, identity, "OFFLINE")
    lost = await api.ok("SetDeviceProperty", **named(identity), Items='{"Temp":6}')
    assert (int(lost["Data"]["MessageId"]), 9201, None) in (await told_to_rules(sink, 4)).values()


async def told_to_rules(sink: Sink, count: int) -> dict[str, tuple[object, ...]]:
    """The newest downlink reply by its topic, once there are so many."""

    async def stored() -> list[dict[str, Any]]:
        rows = await sink.rows()
        return rows if len(rows) == count else []

    rows = sorted(await eventually(stored), key=lambda row: int(row["request"]))
    return {row["asked"]: (row["request"], row["code"], row["res"]) for row in rows}


async def a_synchronous_service_is_waited_for_on_both_topics(platform: Platform) -> None:
    api = platform.api()
    for ext in (1, 0):
        identity = await serving(api)
        async with await connected(platform, identity, ext=ext) as device, answering(device, {"res": 5}) as came:
            done = await api.ok("InvokeThingService", **named(identity), Identifier="sum", Args='{"a":2,"b":3}')
            assert json.loads(done["Data"]["Result"]) == {"res": 5}
            (request,) = came
            if ext:
                prefix, _, below = request.topic.removeprefix("/ext/rrpc/").partition("/")
                assert (prefix.isdigit(), f"/{below}") == (True, topic_of(identity, "thing/service/sum"))
            else:
                assert request.topic.startswith(topic_of(identity, "rrpc/request/"))
            assert json.loads(request.payload) == {
                "id": done["Data"]["MessageId"], "version": "1.0", "params": {"a": 2, "b": 3},
                "method": "thing.service.sum",
            }  # fmt: skip
            (row,) = await answered(api, identity, 1)
            assert (row["Identifier"], json.loads(row["OutputData"])) == ("sum", {"res": 5})


async def a_synchronous_call_ends_in_time_with_the_reason(platform: Platform) -> None:
    api = platform.api()
    identity = await serving(api)
    ask = {**named(identity), "Identifier": "sum", "Args": '{"a":1}'}
    away = await api.call("InvokeThingService", **ask)
    assert away["Code"] == "iot.messagebroker.OFFLINE"
    async with await connected(platform, identity) as device:
        for reply, words in (
            (b"\xff{", "cannot be read"),
            (b'{"data":{}}', "cannot be read"),
            (b'{"id":"1","code":5001,"message":"stuck"}', "5001: stuck"),
        ):
            async with answering(device, reply):
                refused = await api.call("InvokeThingService", **ask)
            assert refused["Code"] == "iot.messagebroker.RrpcFailed"
            assert words in refused["ErrorMessage"]
        started = time.monotonic()
        silent = await api.call("InvokeThingService", **ask)
        assert silent["Code"] == "iot.messagebroker.TIMEOUT"
        assert time.monotonic() - started >= 7.9


async def a_call_that_the_thing_model_does_not_have_is_refused(platform: Platform) -> None:
    api = platform.api()
    identity = await serving(api)
    async with await connected(platform, identity) as device:
        for service, args in (
            ("reboot", "{}"), ("reboot", '{"delay":101}'), ("reboot", '{"delay":"x"}'), ("reboot", "[]"),
            ("reboot", "{"), ("sum", "{}"), ("gone", "{}"), ("spin", "{}"), ("set", '{"Temp":1}'),
            ("property/set", '{"Temp":1}'), ("reboot", '{"x":' + "[" * 500 + "]" * 500 + ',"delay":1}'),
        ):  # fmt: skip
            refused = await api.call("InvokeThingService", **named(identity), Identifier=service, Args=args)
            assert refused["Code"] == "iot.device.InvokeThingServiceFailed", (service, args)
        unknown = {**named(identity), "DeviceName": "nobody"}
        refused = await api.call("InvokeThingService", **unknown, Identifier="reboot", Args='{"delay":1}')
        assert refused["Code"] == "iot.device.NotExistedDevice"
        await api.ok("InvokeThingService", **named(identity), Identifier="reboot", Args='{"delay":1}', Qos=0)
        assert (await device.receive()).topic == topic_of(identity, "thing/service/reboot")
        assert device.inbox.empty()
        assert len((await calls(api, identity))["List"]["ServiceInfo"]) == 1
    # Away: the call is on record, and nobody hears it.
    await api.ok("InvokeThingService", **named(identity), Identifier="reboot", Args='{"delay":1}')
    assert len((await calls(api, identity))["List"]["ServiceInfo"]) == 2


async def many_devices_are_called_and_set_at_once(platform: Platform) -> None:
    api = platform.api()
    first = await serving(api)
    key = first.product_key
    fleet = [first, *[await new_device(api, key) for _ in range(2)]]
    names = [one.device_name for one in fleet]
    async with AsyncExitStack() as stack:
        devices = [await stack.enter_async_context(await connected(platform, one)) for one in fleet]
        for wrong, code in (
            ([], "iot.device.NoneDeviceNameElement"),
            ([f"d{number}" for number in range(101)], "iot.device.TooManyDevicesPerTime"),
            ([*names, "nobody"], "iot.device.NotExistedDevice"),
        ):
            refused = await api.call("SetDevicesProperty", ProductKey=key, DeviceName=wrong, Items='{"Temp":1}')
            assert refused["Code"] == code
            refused = await api.call("InvokeThingsService", ProductKey=key, DeviceName=wrong, Identifier="reboot")
            assert refused["Code"] == code
        refused = await api.call("SetDevicesProperty", ProductKey=key, DeviceName=names, Items='{"Temp":101}')
        assert refused["Code"] == "iot.device.SetDevicePropertyFailed"
        for service, args in (("sum", '{"a":1}'), ("reboot", "{}")):
            refused = await api.call(
                "InvokeThingsService", ProductKey=key, DeviceName=names, Identifier=service, Args=args
            )
            assert refused["Code"] == "iot.device.InvokeThingServiceFailed"
        await api.ok("SetDevicesProperty", ProductKey=key, DeviceName=[*names, names[0]], Items='{"Temp":9}')
        await api.ok("InvokeThingsService", ProductKey=key, DeviceName=names, Identifier="reboot", Args='{"delay":2}')
        for device, identity in zip(devices, fleet, strict=True):
            asked = [await device.receive(), await device.receive()]
            assert {one.topic for one in asked} == {
                topic_of(identity, "thing/service/property/set"), topic_of(identity, "thing/service/reboot"),
            }  # fmt: skip
            for one in asked:
                answer(device, one.topic + "_reply", json.loads(one.payload)["id"])
            assert device.inbox.empty()
            assert {row["Identifier"] for row in await answered(api, identity, 2)} == {"set", "reboot"}


async def answers_that_belong_to_no_call_are_harmless(platform: Platform) -> None:
    api = platform.api()
    mine = await serving(api)
    other = await new_device(api, mine.product_key)
    async with await connected(platform, mine) as device, await connected(platform, other) as stranger:
        sent = await api.ok("InvokeThingService", **named(mine), Identifier="reboot", Args='{"delay":3}')
        call_id = sent["Data"]["MessageId"]
        reply = topic_of(mine, "thing/service/reboot_reply")
        # Of another device, of unknown ids, on another service's topic, of codes and ids that are none, of garbage.
        answer(stranger, topic_of(other, "thing/service/reboot_reply"), call_id, data={"res": 1})
        for bad in ("99", "-1", "x" * 5000, "9" * 30, 1.5, None):
            answer(device, reply, bad, data={"res": 2})
        for code in (1 << 40, "no", None):
            answer(device, reply, call_id, code=code, data={"res": 3})
        for below in ("thing/service/sum_reply", "thing/service/gone_reply", "thing/service/property/set_reply"):
            answer(device, topic_of(mine, below), call_id, data={"res": 4})
        for garbage in (b"", b"\x00\xff" * 100, b"[]", b"[" * 5000, b'{"id":"' + call_id.encode() + b'"}'):
            device.publish(reply, garbage)
        device.publish(topic_of(mine, "thing/service/reboot"), b"{}")
        answer(device, reply, call_id, data={"res": 5, "note": "a\0b"})
        answer(device, reply, call_id, data={"res": 6})
        again = await api.ok("InvokeThingService", **named(mine), Identifier="reboot", Args='{"delay":4}')
        answer(device, reply, again["Data"]["MessageId"], data={"res": 7})
        rows = await answered(api, mine, 2)
        assert [json.loads(row["OutputData"])["res"] for row in rows] == [5, 7]
        assert (await calls(api, other))["List"]["ServiceInfo"] == []


FLOWS = (
    an_asynchronous_service_is_called_answered_recorded_and_told_to_rules,
    a_synchronous_service_is_waited_for_on_both_topics,
    a_synchronous_call_ends_in_time_with_the_reason,
    a_call_that_the_thing_model_does_not_have_is_refused,
    many_devices_are_called_and_set_at_once,
    answers_that_belong_to_no_call_are_harmless,
)
