"""Thing data through the API; what devices report is driven in the integration flows."""

import json
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.support.openapi import OpenApi
from thinghubpb.gateway.v1 import gateway_pb2

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

TSL = {
    "properties": [
        {"identifier": "Temp", "name": "T", "dataType": {"type": "int", "specs": {"max": "9", "unit": "C"}}},
        {"identifier": "Seen", "name": "S", "accessMode": "r", "dataType": {"type": "bool", "specs": {}}},
    ]
}
SPAN = {"StartTime": 0, "EndTime": 1, "PageSize": 1}


async def modelled(api: OpenApi) -> dict[str, str]:
    key = (await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"]
    await api.ok("RegisterDevice", ProductKey=key, DeviceName="device1")
    await api.ok("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps(TSL))
    await api.ok("PublishThingModel", ProductKey=key)
    return {"ProductKey": key, "DeviceName": "device1"}


async def test_a_device_that_reported_nothing_has_its_properties_without_values(platform: "Platform") -> None:
    api = platform.api()
    named = await modelled(api)
    shown = (await api.ok("QueryDevicePropertyStatus", **named))["Data"]["List"]["PropertyStatusInfo"]
    assert shown == [
        {"Identifier": "Temp", "Name": "T", "DataType": "int", "Unit": "C"},
        {"Identifier": "Seen", "Name": "S", "DataType": "bool"},
    ]
    data = (await api.ok("QueryDevicePropertyData", **named, Identifier="Temp", **SPAN))["Data"]
    assert data == {"List": {"PropertyInfo": []}, "NextValid": False}
    assert (await api.ok("QueryDeviceEventData", **named, **SPAN))["Data"]["List"] == {"EventInfo": []}


async def test_what_cannot_be_asked_is_refused(platform: "Platform") -> None:
    api = platform.api()
    named = await modelled(api)
    backwards = {**SPAN, "StartTime": 2}
    refused = await api.call("QueryDevicePropertyData", **named, Identifier="Temp", **backwards)
    assert refused["Code"] == "iot.device.QueryDeviceAttrDataHistoryFailed"
    other = {**named, "DeviceName": "nobody"}
    for action in ("QueryDevicePropertyStatus", "SetDeviceProperty"):
        assert (await api.call(action, **other, Items="{}"))["Code"] == "iot.device.NotExistedDevice"
    for items in ('{"Temp":10}', '{"Seen":1}', '{"None":1}', "{}", "no"):
        assert (await api.call("SetDeviceProperty", **named, Items=items))[
            "Code"
        ] == "iot.device.SetDevicePropertyFailed"


async def test_a_property_set_goes_to_the_device(platform: "Platform") -> None:
    api = platform.api()
    named = await modelled(api)
    sent = await api.ok("SetDeviceProperty", **named, Items='{"Temp":5}')
    (downlink,) = platform.gateways.delivered
    assert isinstance(downlink, gateway_pb2.Downlink)
    assert downlink.topic == f"/sys/{named['ProductKey']}/device1/thing/service/property/set"
    assert json.loads(downlink.payload)["id"] == sent["Data"]["MessageId"] == "1"
