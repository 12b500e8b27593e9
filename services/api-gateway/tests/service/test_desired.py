"""Desired properties through the API; how devices see them is driven in the integration flows."""

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.openapi import ApiRefused, OpenApi

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

TSL = {
    "properties": [
        {"identifier": "Temp", "name": "T", "dataType": {"type": "int", "specs": {"max": "9", "unit": "C"}}},
        {"identifier": "Seen", "name": "S", "accessMode": "r", "dataType": {"type": "bool", "specs": {}}},
    ]
}


async def modelled(api: OpenApi) -> dict[str, str]:
    key = (await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"]
    await api.ok("RegisterDevice", ProductKey=key, DeviceName="device1")
    await api.ok("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps(TSL))
    await api.ok("PublishThingModel", ProductKey=key)
    return {"ProductKey": key, "DeviceName": "device1"}


async def shown(api: OpenApi, named: dict[str, str], **more: object) -> list[dict[str, Any]]:
    answer = await api.ok("QueryDeviceDesiredProperty", **named, **more)
    rows: list[dict[str, Any]] = answer["Data"]["List"]["DesiredPropertyInfo"]
    return rows


async def test_what_is_set_is_shown_with_its_version(platform: "Platform") -> None:
    api = platform.api()
    named = await modelled(api)
    nothing = {"Identifier": "Temp", "Name": "T", "DataType": "int", "Unit": "C", "Version": 0}
    assert (await shown(api, named))[0] == nothing
    first = await api.ok("SetDeviceDesiredProperty", **named, Items='{"Temp":5}', Versions='{"Temp":0}')
    assert json.loads(first["Data"]["Versions"]) == {"Temp": 1}
    (downlink,) = platform.gateways.delivered
    assert json.loads(downlink.payload)["id"] == first["Data"]["MessageId"]
    assert json.loads(downlink.payload)["params"] == {"Temp": 5}
    (row,) = await shown(api, named, **{"Identifier.1": "Temp"})
    assert int(row.pop("Time")) > 0
    assert row == {**nothing, "Value": "5", "Version": 1}
    platform.gateways.away = True
    second = await api.ok("SetDeviceDesiredProperty", **named, Items='{"Temp":6}')
    assert json.loads(second["Data"]["Versions"]) == {"Temp": 2}
    cleared = await api.ok("ClearDeviceDesiredProperty", **named, **{"Identifies.1": "Temp"})
    assert json.loads(cleared["Data"]["Versions"]) == {"Temp": 2}
    assert (await shown(api, named))[0] == {**nothing, "Version": 2}


async def test_a_version_that_is_not_the_stored_one_is_refused(platform: "Platform") -> None:
    api = platform.api()
    named = await modelled(api)
    await api.ok("SetDeviceDesiredProperty", **named, Items='{"Temp":5}')
    for version in (0, 2):
        refused = await api.call(
            "SetDeviceDesiredProperty", **named, Items='{"Temp":6}', Versions=json.dumps({"Temp": version})
        )
        assert refused["Code"] == "iot.device.DesiredPropertyVersionConflict"
    assert (await shown(api, named))[0]["Value"] == "5"


async def test_what_makes_no_sense_is_refused(platform: "Platform") -> None:
    api = platform.api()
    named = await modelled(api)
    for items in ('{"Temp":10}', '{"Seen":1}', '{"None":1}', "{}", "no", "[" * 1000):
        refused = await api.call("SetDeviceDesiredProperty", **named, Items=items)
        assert refused["Code"] == "iot.device.SetDevicePropertyFailed"
    for versions in ("no", '{"None":1}', '{"Temp":-1}', '{"Temp":"x"}'):
        refused = await api.call("SetDeviceDesiredProperty", **named, Items='{"Temp":1}', Versions=versions)
        assert refused["Code"] == "iot.device.InvalidFormattedDevicePropertiesString"
    for action, members in (
        ("SetDeviceDesiredProperty", {"Items": '{"Temp":1}'}),
        ("QueryDeviceDesiredProperty", {}),
        ("ClearDeviceDesiredProperty", {"Identifies.1": "Temp"}),
    ):
        nobody = await api.call(action, ProductKey=named["ProductKey"], DeviceName="nobody", **members)
        assert nobody["Code"] == "iot.device.NotExistedDevice"
    unknown = await api.call("QueryDeviceDesiredProperty", **named, **{"Identifier.1": "None"})
    assert unknown["Code"] == "iot.device.InvalidFormattedDevicePropertiesString"
    eleven = {f"Identifier.{number}": f"p{number}" for number in range(1, 12)}
    with pytest.raises(ApiRefused, match="InvalidParameter"):
        await api.call("QueryDeviceDesiredProperty", **named, **eleven)
