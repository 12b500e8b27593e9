"""Tags through the API, against the real device-registry."""

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.openapi import OpenApi

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def made_device(api: OpenApi) -> dict[str, str]:
    product = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0)
    await api.ok("RegisterDevice", ProductKey=product["ProductKey"], DeviceName="device1")
    return {"ProductKey": str(product["ProductKey"]), "DeviceName": "device1"}


async def props(api: OpenApi, device: dict[str, str]) -> Any:
    return json.loads((await api.ok("QueryDeviceProp", **device))["Props"])


async def test_tags_are_saved_read_and_deleted(platform: "Platform") -> None:
    api = platform.api()
    device = await made_device(api)
    assert await props(api, device) == {}
    await api.ok("SaveDeviceProp", **device, Props='{"room":"大厅","floor":3,"lit":true}')
    await api.ok("SaveDeviceProp", **device, Props='{"floor":"4"}')
    assert await props(api, device) == {"room": "大厅", "floor": "4", "lit": "true"}
    await api.ok("DeleteDeviceProp", **device, PropKey="room")
    await api.ok("DeleteDeviceProp", **device, PropKey="never")
    assert await props(api, device) == {"floor": "4", "lit": "true"}
    path = f"/v1/products/{device['ProductKey']}/devices/device1/tags"
    assert (await api.rest("GET", path)).json()["SystemProps"] == "{}"


@pytest.mark.parametrize(
    ("action", "parameters", "code"),
    [
        ("SaveDeviceProp", {}, "iot.device.NullDevicePropertiesString"),
        ("SaveDeviceProp", {"Props": "{}"}, "iot.device.NoneDeviceProperties"),
        ("SaveDeviceProp", {"Props": "[]"}, "iot.device.InvalidFormattedDevicePropertiesString"),
        ("SaveDeviceProp", {"Props": "[" * 5000}, "iot.device.InvalidFormattedDevicePropertiesString"),
        ("SaveDeviceProp", {"Props": '{"k":{}}'}, "iot.device.InvalidFormattedDevicePropertiesString"),
        ("SaveDeviceProp", {"Props": '{"k":"\\ud800"}'}, "iot.device.InvalidFormattedDevicePropertiesString"),
        ("SaveDeviceProp", {"Props": '{"\\ud800":"v"}'}, "iot.device.InvalidFormattedDevicePropertiesString"),
        ("SaveDeviceProp", {"Props": '{"":"v"}'}, "iot.device.InvalidFormattedDevicePropertyKey"),
        (
            "SaveDeviceProp",
            {"Props": json.dumps({f"k{n}": "v" for n in range(101)})},
            "iot.device.TooManyDevicePropertiesPerTime",
        ),
        ("DeleteDeviceProp", {}, "iot.device.NullDevicePropertyKey"),
        ("QueryDeviceProp", {"IotId": "nobody"}, "iot.device.NotExistedDevice"),
    ],
)
async def test_bad_tags_are_refused(platform: "Platform", action: str, parameters: dict[str, Any], code: str) -> None:
    api = platform.api()
    device = await made_device(api)
    assert (await api.call(action, **{**device, **parameters}))["Code"] == code


async def test_the_hundred_and_first_tag_is_refused(platform: "Platform") -> None:
    api = platform.api()
    device = await made_device(api)
    await api.ok("SaveDeviceProp", **device, Props=json.dumps({f"k{n}": "v" for n in range(100)}))
    refused = await api.call("SaveDeviceProp", **device, Props='{"more":"v"}')
    assert refused["Code"] == "iot.device.SaveOrUpdateDevicePropertiesFailed"
