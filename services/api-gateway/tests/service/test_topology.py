"""Topology through the API, against the real device-registry. What devices do is in
tests/integration/flows/topology.py."""

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.openapi import ApiRefused, OpenApi
from thinghub.device_protocol.signing import SignMethod, sign

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def made(api: OpenApi, node_type: int) -> dict[str, str]:
    product = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=node_type)
    data = (await api.ok("RegisterDevice", ProductKey=product["ProductKey"], DeviceName="device1"))["Data"]
    return {"ProductKey": data["ProductKey"], "DeviceName": "device1", "IotId": data["IotId"]}


def added(device: dict[str, str], secret: str) -> dict[str, str]:
    content = f"clientIdc1deviceName{device['DeviceName']}productKey{device['ProductKey']}timestamp17"
    made = sign(SignMethod.HMAC_SHA256, secret, content.encode())
    named = {"ProductKey": device["ProductKey"], "DeviceName": device["DeviceName"]}
    return {**named, "ClientId": "c1", "Timestamp": "17", "SignMethod": "hmacSha256", "Sign": made}


async def secret_of(api: OpenApi, device: dict[str, str]) -> str:
    return str((await api.ok("QueryDeviceDetail", IotId=device["IotId"]))["Data"]["DeviceSecret"])


async def test_sub_devices_are_added_listed_and_removed(platform: "Platform") -> None:
    api = platform.api()
    gateway, first, second = await made(api, 1), await made(api, 0), await made(api, 0)
    named = {"GwProductKey": gateway["ProductKey"], "GwDeviceName": "device1"}
    items = [added(one, await secret_of(api, one)) for one in (first, second)]
    await api.ok("BatchAddThingTopo", **named, TopoAddItem=items)
    page = (await api.ok("GetThingTopo", IotId=gateway["IotId"], PageNo=2, PageSize=1))["Data"]
    assert (page["CurrentPage"], page["PageCount"], page["Total"]) == (2, 2, 2)
    assert page["List"]["deviceInfo"] == [max((first, second), key=lambda one: one["ProductKey"])]
    detail = (await api.ok("GetGatewayBySubDevice", IotId=first["IotId"]))["Data"]
    assert (detail["iotId"], detail["NodeType"], detail["Status"]) == (gateway["IotId"], "1", "UNACTIVE")
    for one in (first, second):
        assert (await api.ok("RemoveThingTopo", IotId=one["IotId"]))["Data"] is True
    path = f"/v1/products/{gateway['ProductKey']}/devices/device1/sub-devices"
    assert (await api.rest("GET", path)).json()["Data"]["Total"] == 0
    forged = await api.call("BatchAddThingTopo", **named, TopoAddItem=[added(first, "wrong")])
    assert forged["Code"] == "iot.device.AddTopoRelationFailed"


def listed(*devices: dict[str, str]) -> str:
    return json.dumps([{"productKey": one["ProductKey"], "deviceName": one["DeviceName"]} for one in devices])


async def test_a_new_gateway_has_no_sub_devices(platform: "Platform") -> None:
    api = platform.api()
    gateway = await made(api, 1)
    data = (await api.ok("GetThingTopo", IotId=gateway["IotId"], PageNo=1, PageSize=50))["Data"]
    assert data == {"List": {"deviceInfo": []}, "CurrentPage": 1, "PageSize": 50, "PageCount": 0, "Total": 0}


async def test_a_gateway_is_asked_to_add(platform: "Platform") -> None:
    api = platform.api()
    gateway, sensor = await made(api, 1), await made(api, 0)
    names = {"GwProductKey": gateway["ProductKey"], "GwDeviceName": "device1"}
    for named in (names, {"GwIotId": gateway["IotId"]}):
        answer = await api.ok("NotifyAddThingTopo", **named, DeviceListStr=listed(sensor))
        sent = platform.gateways.delivered[-1]
        assert sent.topic == f"/sys/{gateway['ProductKey']}/device1/thing/topo/add/notify"
        asked = json.loads(sent.payload)
        assert asked["id"] == answer["Data"]["MessageId"]
        assert asked["params"] == json.loads(listed(sensor))


@pytest.mark.parametrize(
    ("action", "parameters", "code"),
    [
        ("GetThingTopo", {"IotId": "nobody"}, "iot.device.NotExistedDevice"),
        ("GetGatewayBySubDevice", {}, "iot.device.QueryTopoRelationFailed"),
        ("GetGatewayBySubDevice", {"IotId": "nobody"}, "iot.device.NotExistedDevice"),
        ("RemoveThingTopo", {}, "iot.device.RemoveTopoRelationFailed"),
        (
            "NotifyAddThingTopo",
            {"DeviceListStr": '[{"productKey":"a","deviceName":"b"}]'},
            "iot.device.NotExistedDevice",
        ),
    ],
)
async def test_what_is_not_there_is_refused(
    platform: "Platform", action: str, parameters: dict[str, Any], code: str
) -> None:
    api = platform.api()
    assert (await api.call(action, **{**as_named(action, await made(api, 1)), **parameters}))["Code"] == code


@pytest.mark.parametrize(
    ("action", "parameters", "code"),
    [
        ("GetThingTopo", {"PageSize": 51}, "InvalidParameter"),
        ("NotifyAddThingTopo", {}, "MissingParameter"),
        ("NotifyAddThingTopo", {"DeviceListStr": "[]"}, "InvalidParameter"),
        ("NotifyAddThingTopo", {"DeviceListStr": "{}"}, "InvalidParameter"),
        ("NotifyAddThingTopo", {"DeviceListStr": "[" * 5000}, "InvalidParameter"),
        ("NotifyAddThingTopo", {"DeviceListStr": '[{"productKey":1,"deviceName":2}]'}, "InvalidParameter"),
        ("NotifyAddThingTopo", {"DeviceListStr": '[{"productKey":"\\ud800","deviceName":"a"}]'}, "InvalidParameter"),
        ("NotifyAddThingTopo", {"DeviceListStr": '[{"productKey":"\\u0000","deviceName":"a"}]'}, "InvalidParameter"),
        ("NotifyAddThingTopo", {"GwDeviceName": "", "DeviceListStr": "[]"}, "MissingParameter"),
        ("BatchAddThingTopo", {}, "InvalidParameter"),
        ("BatchAddThingTopo", {"TopoAddItem": [{"ProductKey": "a"}] * 11}, "InvalidParameter"),
        ("BatchAddThingTopo", {"TopoAddItem": [{"ProductKey": "a"}]}, "InvalidParameter"),
    ],
)
async def test_bad_calls_are_refused(platform: "Platform", action: str, parameters: dict[str, Any], code: str) -> None:
    api = platform.api()
    named = as_named(action, await made(api, 1))
    with pytest.raises(ApiRefused) as refused:
        await api.call(action, **{**named, **parameters})
    assert refused.value.code == code


def as_named(action: str, gateway: dict[str, str]) -> dict[str, str]:
    if action in ("NotifyAddThingTopo", "BatchAddThingTopo"):
        return {"GwProductKey": gateway["ProductKey"], "GwDeviceName": gateway["DeviceName"]}
    return gateway


async def test_a_gateway_behind_a_gateway_is_refused(platform: "Platform") -> None:
    api = platform.api()
    gateway, other = await made(api, 1), await made(api, 1)
    named = {"GwProductKey": gateway["ProductKey"], "GwDeviceName": "device1"}
    answer = await api.call("NotifyAddThingTopo", **named, DeviceListStr=listed(other))
    assert answer["Code"] == "iot.device.AddTopoRelationFailed"
