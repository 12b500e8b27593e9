"""Calls of services through the API; answers of devices are driven in the integration flows."""

import json
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.support.openapi import ApiRefused, OpenApi
from thinghubpb.gateway.v1 import gateway_pb2

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

TSL = {
    "properties": [{"identifier": "Temp", "name": "T", "dataType": {"type": "int", "specs": {"max": "9"}}}],
    "services": [
        {"identifier": "told", "name": "Told", "callType": "async"},
        {"identifier": "asked", "name": "Asked", "callType": "sync"},
    ],
}
SPAN = {"StartTime": 0, "EndTime": 1 << 50, "PageSize": 10, "Asc": 1}
Reply = gateway_pb2.RequestResponse


async def serving(api: OpenApi) -> dict[str, str]:
    key = (await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"]
    for name in ("device1", "device2"):
        await api.ok("RegisterDevice", ProductKey=key, DeviceName=name)
    await api.ok("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps(TSL))
    await api.ok("PublishThingModel", ProductKey=key)
    return {"ProductKey": key, "DeviceName": "device1"}


async def recorded(api: OpenApi, named: dict[str, str]) -> list[dict[str, str]]:
    data = (await api.ok("QueryDeviceServiceData", **named, **SPAN))["Data"]
    rows: list[dict[str, str]] = data["List"]["ServiceInfo"]
    return rows


async def test_an_asynchronous_call_goes_to_the_device_and_on_record(platform: "Platform") -> None:
    api = platform.api()
    named = await serving(api)
    sent = await api.ok("InvokeThingService", **named, Identifier="told", Args='{"a":"b"}')
    (downlink,) = platform.gateways.delivered
    assert downlink.topic == f"/sys/{named['ProductKey']}/device1/thing/service/told"
    assert json.loads(downlink.payload)["id"] == sent["Data"]["MessageId"] == "1"
    assert downlink.qos == 1
    (row,) = await recorded(api, named)
    assert (row["Identifier"], row["Name"], row["InputData"]) == ("told", "Told", '{"a":"b"}')
    assert "OutputData" not in row


async def test_a_synchronous_call_is_a_request_on_the_services_topic(platform: "Platform") -> None:
    api = platform.api()
    named = await serving(api)
    platform.gateways.reply = Reply(code=Reply.CODE_SUCCESS, payload=b'{"id":"1","code":200,"data":{"n":1}}')
    done = await api.ok("InvokeThingService", **named, Identifier="asked")
    assert done["Data"] == {"MessageId": "1", "Result": '{"n":1}'}
    (request,) = platform.gateways.requests
    assert (request.topic, request.timeout_ms) == (f"/sys/{named['ProductKey']}/device1/thing/service/asked", 8000)
    assert (await recorded(api, named))[0]["OutputData"] == '{"n":1}'


@pytest.mark.parametrize(
    ("reply", "code", "status"),
    [
        (Reply(code=Reply.CODE_OFFLINE), "iot.messagebroker.OFFLINE", 409),
        (Reply(code=Reply.CODE_TIMEOUT), "iot.messagebroker.TIMEOUT", 504),
        (Reply(code=Reply.CODE_HALFCONN), "iot.messagebroker.HALFCONN", 504),
        (Reply(code=Reply.CODE_UNKNOWN), "iot.messagebroker.PublishMessageFailed", 502),
        (Reply(code=Reply.CODE_SUCCESS, payload=b"no"), "iot.messagebroker.RrpcFailed", 502),
        (Reply(code=Reply.CODE_SUCCESS, payload=b'{"code":5}'), "iot.messagebroker.RrpcFailed", 502),
    ],
)
async def test_a_synchronous_call_without_success_is_refused_on_both_faces(
    platform: "Platform", reply: Reply, code: str, status: int
) -> None:
    api = platform.api()
    named = await serving(api)
    platform.gateways.reply = reply
    refused = await api.call("InvokeThingService", **named, Identifier="asked")
    assert (refused["Success"], refused["Code"]) == (False, code)
    answer = await api.rest("POST", f"/v1/products/{named['ProductKey']}/devices/device1/services/asked", json={})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_what_cannot_be_called_is_refused(platform: "Platform") -> None:
    api = platform.api()
    named = await serving(api)
    key = named["ProductKey"]
    bare = (await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"]
    await api.ok("RegisterDevice", ProductKey=bare, DeviceName="device1")
    for product, service, args in ((key, "gone", "{}"), (key, "told", "no"), (bare, "told", "{}")):
        refused = await api.call(
            "InvokeThingService", ProductKey=product, DeviceName="device1", Identifier=service, Args=args
        )
        assert refused["Code"] == "iot.device.InvokeThingServiceFailed"
    with pytest.raises(ApiRefused, match="MissingParameter"):
        await api.call("InvokeThingService", **named)
    backwards = {**SPAN, "StartTime": 2, "EndTime": 1}
    refused = await api.call("QueryDeviceServiceData", **named, **backwards)
    assert refused["Code"] == "iot.device.QueryDeviceServiceHistoryFailed"
    assert platform.gateways.delivered == platform.gateways.requests == []


async def test_what_no_gateway_could_send_is_no_success(platform: "Platform") -> None:
    api = platform.api()
    named = await serving(api)
    many = {"ProductKey": named["ProductKey"], "DeviceName": ["device1", "device2"]}
    platform.gateways.outcome = gateway_pb2.OUTCOME_FAILED
    for action, target, more in (
        ("InvokeThingService", named, {"Identifier": "told"}),
        ("InvokeThingsService", many, {"Identifier": "told"}),
        ("SetDeviceProperty", named, {"Items": '{"Temp":1}'}),
        ("SetDevicesProperty", many, {"Items": '{"Temp":1}'}),
    ):
        refused = await api.call(action, **target, **more)
        assert refused["Code"] == "iot.messagebroker.PublishMessageFailed"
    platform.gateways.away = True
    for service in ("told", "asked"):
        with pytest.raises(ApiRefused, match="ServiceUnavailable"):
            await api.call("InvokeThingService", **named, Identifier=service)


async def test_many_devices_are_one_call_to_the_gateways(platform: "Platform") -> None:
    api = platform.api()
    named = await serving(api)
    many = {"ProductKey": named["ProductKey"], "DeviceName": ["device1", "device2", "device1"]}
    await api.ok("SetDevicesProperty", **many, Items='{"Temp":1}')
    await api.ok("InvokeThingsService", **many, Identifier="told")
    assert [one.device.device_name for one in platform.gateways.delivered] == ["device1", "device2"] * 2
    assert len(platform.gateways.waits) == 2
    assert (await api.call("InvokeThingsService", **many, Identifier="asked"))[
        "Code"
    ] == "iot.device.InvokeThingServiceFailed"
