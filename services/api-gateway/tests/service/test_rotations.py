"""Rotation of device secrets over a real socket, with the real auth and registry."""

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.support.openapi import Key
from thinghub.api_gateway.domain.master_keys import MasterKeyUse
from thinghub.api_gateway.service.master_keys import state

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def new_device(platform: "Platform") -> tuple[str, str, str]:
    """ProductKey, DeviceName, DeviceSecret."""
    api = platform.api()
    product = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0)
    made = await api.ok("RegisterDevice", ProductKey=product["ProductKey"], DeviceName="device1")
    return str(product["ProductKey"]), "device1", str(made["Data"]["DeviceSecret"])


async def test_a_secret_is_rotated_told_and_finished(platform: "Platform") -> None:
    product_key, name, former = await new_device(platform)
    path = f"/v1/products/{product_key}/devices/{name}/secret-rotation"
    assert (await platform.rest("GET", path)).json() == {}
    made = await platform.rest("POST", path, json={"OverlapSeconds": 3600})
    assert made.status_code == 200, made.text
    new = made.json()["DeviceSecret"]
    assert (len(new), new == former) == (32, False)
    assert (made.json()["Rotation"]["UnderWay"], made.json()["Rotation"]["NewSecretUsed"]) == (True, False)
    told = await platform.rest("GET", path)
    assert told.json() == {"Rotation": made.json()["Rotation"]}
    assert new not in told.text
    detail = await platform.api().ok("QueryDeviceDetail", ProductKey=product_key, DeviceName=name)
    assert detail["Data"]["DeviceSecret"] == new
    why = await platform.rest("GET", f"/v1/products/{product_key}/devices/{name}/why")
    assert why.json()["SecretRotation"] == made.json()["Rotation"]
    again = await platform.rest("POST", path)
    assert (again.status_code, again.json()["code"]) == (409, "iot.device.SecretRotationUnderWay")
    repeated = await platform.rest("POST", path, json={"DeviceSecret": new})
    assert repeated.json() == made.json()
    ended = await platform.rest("POST", f"{path}/finish")
    assert ended.json()["Rotation"]["UnderWay"] is False
    back = await platform.rest("POST", f"{path}/finish", json={"Keep": "former"})
    assert (back.status_code, back.json()["code"]) == (409, "iot.device.SecretRotationNotFound")
    records = await platform.rest("GET", "/v1/audit-records", params={"ProductKey": product_key, "DeviceName": name})
    actions = [one["Action"] for one in records.json()["Records"]]
    assert actions.count("RotateDeviceSecret") == 3
    assert new not in records.text


async def test_a_rotation_is_taken_back(platform: "Platform") -> None:
    product_key, name, former = await new_device(platform)
    path = f"/v1/products/{product_key}/devices/{name}/secret-rotation"
    await platform.rest("POST", path, json={"DeviceSecret": "given"})
    assert (await platform.rest("POST", f"{path}/finish", json={"Keep": "former"})).json() == {}
    detail = await platform.api().ok("QueryDeviceDetail", ProductKey=product_key, DeviceName=name)
    assert detail["Data"]["DeviceSecret"] == former


async def test_only_administrators_rotate_devices_that_exist_in_their_instance(platform: "Platform") -> None:
    product_key, name, _ = await new_device(platform)
    path = f"/v1/products/{product_key}/devices/{name}/secret-rotation"
    instance = f"iot-{secrets.token_hex(6)}"
    await platform.rest("POST", "/v1/instances", json={"InstanceId": instance, "Name": instance})
    keys = []
    for role, bound in (("operator", ""), ("administrator", instance)):
        body = {"Role": role, "BoundInstanceId": bound, "Description": "test"}
        made = (await platform.rest("POST", "/v1/access-keys", json=body)).json()
        keys.append(Key(made["AccessKeyId"], made["AccessKeySecret"]))
    operator, elsewhere = keys
    assert (await platform.rest("POST", path, operator)).status_code == 403
    assert (await platform.rest("GET", path, operator)).status_code == 200
    assert (await platform.rest("POST", path, elsewhere)).status_code == 404
    nobody = f"/v1/products/{product_key}/devices/nobody/secret-rotation"
    assert (await platform.rest("POST", nobody)).json()["code"] == "iot.device.NotExistedDevice"
    for bad in ({"OverlapSeconds": -1}, {"OverlapSeconds": 91 * 86400}, {"DeviceSecret": "x" * 300}):
        assert (await platform.rest("POST", path, json=bad)).status_code == 400


async def test_master_keys_are_told_to_unbound_administrators(platform: "Platform") -> None:
    await new_device(platform)
    answer = await platform.rest("GET", "/v1/master-keys")
    (key,) = answer.json()["MasterKeys"]
    assert (key["KeyId"], key["State"], key["Records"]["device"] > 0) == ("1", "active", True)
    made = (await platform.rest("POST", "/v1/access-keys", json={"Role": "operator", "Description": "test"})).json()
    operator = Key(made["AccessKeyId"], made["AccessKeySecret"])
    assert (await platform.rest("GET", "/v1/master-keys", operator)).status_code == 403


@pytest.mark.parametrize(
    ("active", "given", "records", "told"),
    [(True, True, {}, "active"), (False, True, {"named": 1}, "in_use"), (False, True, {}, "unused"),
     (False, False, {"named": 1}, "missing")],
)  # fmt: skip
async def test_a_key_says_whether_its_line_may_go(
    active: bool, given: bool, records: dict[str, int], told: str
) -> None:
    assert state(MasterKeyUse("k1", active, given, records)) == told
