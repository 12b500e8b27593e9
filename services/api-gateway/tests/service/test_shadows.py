"""GetDeviceShadow and UpdateDeviceShadow against the real shadow service: effects, and every business code."""

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.openapi import OpenApi
from thinghubpb.gateway.v1 import gateway_pb2 as pb

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

DESIRED = '{"method":"update","state":{"desired":{"color":"green"}},"version":%d}'


async def made_device(api: OpenApi) -> dict[str, str]:
    product_key = (await api.ok("CreateProduct", ProductName=f"shadow{id(api)}", NodeType=0))["ProductKey"]
    await api.ok("RegisterDevice", ProductKey=product_key, DeviceName="device1")
    return {"ProductKey": product_key, "DeviceName": "device1"}


async def test_what_is_desired_is_stored_and_the_device_is_told(platform: "Platform") -> None:
    api = platform.api()
    device = await made_device(api)
    empty = json.loads((await api.ok("GetDeviceShadow", **device))["ShadowMessage"])
    assert empty["payload"]["state"] == {"reported": {}, "desired": {}}
    assert empty["version"] == 0
    platform.gateways.outcome = pb.OUTCOME_DELIVERED
    answer = await api.ok("UpdateDeviceShadow", **device, ShadowMessage=DESIRED % 1, DeltaUpdate=True)
    assert "Version" not in answer
    (told,) = platform.gateways.delivered
    assert told.topic == f"/shadow/get/{device['ProductKey']}/device1"
    assert (told.qos, json.loads(told.payload)["method"]) == (1, "control")
    shown = json.loads((await api.ok("GetDeviceShadow", **device))["ShadowMessage"])
    assert shown["payload"]["state"]["desired"] == {"color": "green"}
    assert shown["version"] == 1
    path = f"/v1/products/{device['ProductKey']}/devices/device1/shadow"
    put = await platform.rest("PUT", path, json={"ShadowMessage": DESIRED % 5})
    assert (put.status_code, put.json()["Version"]) == (200, 5)
    assert json.loads((await platform.rest("GET", path)).json()["ShadowMessage"])["version"] == 5


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (" ", "NullShadowMessage"),
        ("{", "ShadowMessageIsNotJson"),
        ("[1]", "ShadowMessageIsNotJson"),
        ('{"state":{"desired":{"a":1}},"version":1}', "NotFoundMethodInShadowMessage"),
        ('{"method":"delete","state":{"desired":{"a":1}},"version":1}', "MethodValueIsNotUpdate"),
        ('{"method":"update","version":1}', "NotFoundStateInShadowMessage"),
        ('{"method":"update","state":{"desired":{"a":1}}}', "NotFoundVersionOrNullVersionValue"),
        ('{"method":"update","state":{"desired":{"a":1}},"version":"x"}', "InvalidVersionValueInShadowMessage"),
        ('{"method":"update","state":{"desired":{"a":1}},"version":0}', "UpdateDeviceShadowMessageFailed"),
        ('{"method":"update","state":{"reported":{"a":1}},"version":1}', "NotFoundDesireInShadowMessage"),
        ('{"method":"update","state":{"desired":null},"version":1}', "DesireValueIsNullInShadowMessage"),
        ('{"method":"update","state":{"desired":7},"version":1}', "DesireInfoInShadowMessageIsNotJson"),
        ('{"method":"update","state":{"desired":{}},"version":1}', "NoneElementInDesire"),
        ('{"method":"update","state":{"desired":{"a":null}},"version":1}', "ElementKeyOrValueIsNullInDesire"),
        (
            json.dumps({"method": "update", "state": {"desired": {f"a{n}": n for n in range(129)}}, "version": 1}),
            "TooManyElementInDesire",
        ),
        (json.dumps({"method": "update", "state": {"desired": {"a": "x" * 16384}}}), "ShadowMessageLengthIsLarge"),
    ],
)
async def test_what_is_wrong_has_its_code(platform: "Platform", message: str, code: str) -> None:
    api = platform.api()
    device = await made_device(api)
    answer = await api.call("UpdateDeviceShadow", **device, ShadowMessage=message)
    assert (answer["Success"], answer["Code"]) == (False, f"iot.messagebroker.{code}")


async def test_a_device_that_does_not_exist_has_no_shadow(platform: "Platform") -> None:
    api = platform.api()
    device = await made_device(api)
    for action in ("GetDeviceShadow", "UpdateDeviceShadow"):
        asked = {**device, "DeviceName": "nobody", "ShadowMessage": DESIRED % 1}
        assert (await api.call(action, **asked))["Code"] == "iot.device.NotExistedDevice"
        asked["ProductKey"] = "a1nothing"
        assert (await api.call(action, **asked))["Code"] == "iot.prod.NotExistedProduct"
