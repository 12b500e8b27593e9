"""The REST face over a real socket, and what it alone can do."""

import base64
import json
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.support.openapi import ApiRefused, Key, OpenApi

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def made_product(platform: "Platform") -> str:
    body = {"ProductName": f"p_{secrets.token_hex(6)}", "NodeType": 0}
    answer = await platform.rest("POST", "/v1/products", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["ProductKey"])


async def made_key(platform: "Platform", role: str, instance: str = "") -> Key:
    body = {"Role": role, "BoundInstanceId": instance, "Description": "test"}
    answer = await platform.rest("POST", "/v1/access-keys", json=body)
    assert answer.status_code == 201, answer.text
    return Key(answer.json()["AccessKeyId"], answer.json()["AccessKeySecret"])


async def test_a_device_lives_through_rest(platform: "Platform") -> None:
    product_key = await made_product(platform)
    devices = f"/v1/products/{product_key}/devices"
    made = await platform.rest("POST", devices, json={"DeviceName": "device1", "Nickname": "one"})
    assert made.status_code == 201
    assert made.json()["Data"]["DeviceSecret"]
    listed = await platform.rest("GET", devices, params={"PageSize": 5})
    assert [row["DeviceName"] for row in listed.json()["Data"]["DeviceInfo"]] == ["device1"]
    state = await platform.rest("GET", f"{devices}/device1/status")
    assert state.json()["Data"]["Status"] == "UNACTIVE"
    assert (await platform.rest("POST", f"{devices}/device1/disable")).status_code == 200
    assert (await platform.rest("GET", f"{devices}/device1/status")).json()["Data"]["Status"] == "DISABLE"
    assert (await platform.rest("POST", f"{devices}/device1/enable")).json() == {}
    assert (await platform.rest("DELETE", f"{devices}/device1")).status_code == 200
    assert (await platform.rest("GET", f"{devices}/device1")).status_code == 404
    assert (await platform.rest("DELETE", f"/v1/products/{product_key}")).status_code == 200


async def test_errors_have_a_status_a_code_and_the_request_id(platform: "Platform") -> None:
    answer = await platform.rest("GET", "/v1/products/nosuchproduct")
    assert answer.status_code == 404
    assert set(answer.json()) == {"code", "message", "request_id"}
    assert answer.json()["code"] == "iot.prod.NotExistedProduct"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


@pytest.mark.parametrize(
    "authorization",
    ["", "Basic", "Basic !!!", "Basic " + base64.b64encode(b"nocolon").decode(), "Bearer", "Bearer x.y.z", "Digest a",
     "Basic " + base64.b64encode(b"firstkey:wrong").decode(), "Basic " + base64.b64encode(b"nobody:x").decode(),
     "Basic " + base64.b64encode(b"\xff\xfe:x").decode()],
)  # fmt: skip
async def test_bad_credentials_are_unauthorized(platform: "Platform", authorization: str) -> None:
    answer = await platform.http.get("/v1/products", headers={"authorization": authorization})
    assert answer.status_code == 401
    assert answer.json()["code"] == "Unauthorized"
    assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"\xff", {}, 400),
        (b'{"ProductName": "x"}', {"content-type": "text/plain"}, 415),
        (b'{"ProductName": 5, "NodeType": 0}', {}, 400),
        (b'{"ProductName": "x", "NodeType": "zero"}', {}, 400),
        (b'{"ProductName": "x\\u0000y", "NodeType": 0}', {}, 400),
        (b'{"ProductName": "x", "NodeType": 7}', {}, 400),
        (b'{"ProductName": "\\ud800", "NodeType": 0}', {}, 400),
        (b'{"NodeType": 0}', {}, 400),
        (b'{"a":' * 5000, {}, 400),
        (b" " * (1 << 20) + b"{}", {}, 413),
    ],
)
async def test_bad_bodies_are_refused(
    platform: "Platform", content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await platform.rest("POST", "/v1/products", content=content, headers=headers)
    assert answer.status_code == status, answer.text


async def test_a_member_may_not_contradict_the_path(platform: "Platform") -> None:
    answer = await platform.rest("POST", "/v1/products/a/devices", json={"ProductKey": "b"})
    assert answer.status_code == 400
    assert answer.json()["parameter"] == "ProductKey"


async def test_a_token_serves_like_its_key_but_issues_no_other(platform: "Platform") -> None:
    issued = await platform.rest("POST", "/v1/tokens", json={"LifetimeSeconds": 600})
    assert issued.status_code == 201
    bearer = {"authorization": f"Bearer {issued.json()['Token']}"}
    assert (await platform.http.get("/v1/products", headers=bearer)).status_code == 200
    assert (await platform.http.post("/v1/tokens", headers=bearer)).status_code == 403


async def test_roles_reach_as_far_as_the_table_says(platform: "Platform") -> None:
    product_key = await made_product(platform)
    await platform.rest("POST", f"/v1/products/{product_key}/devices", json={"DeviceName": "device1"})
    reader, operator = await made_key(platform, "reader"), await made_key(platform, "operator")
    device = f"/v1/products/{product_key}/devices/device1"
    for key, method, path, status in (
        (reader, "GET", device, 200),
        (reader, "POST", f"{device}/disable", 403),
        (operator, "POST", f"{device}/disable", 200),
        (operator, "DELETE", device, 403),
        (operator, "GET", "/v1/secrets", 403),
        (reader, "POST", "/v1/tokens", 201),
    ):
        assert (await platform.rest(method, path, key)).status_code == status, (method, path)
    with pytest.raises(ApiRefused) as refused:
        await platform.api(key=reader).call("DisableThing", ProductKey=product_key, DeviceName="device1")
    assert (refused.value.status, refused.value.code) == (403, "Forbidden.RAM")


async def test_secrets_of_devices_are_shown_to_administrators_only(platform: "Platform") -> None:
    product_key = await made_product(platform)
    await platform.rest("POST", f"/v1/products/{product_key}/devices", json={"DeviceName": "device1"})
    reader = await made_key(platform, "reader")
    paths = (
        f"/v1/products/{product_key}",
        f"/v1/products/{product_key}/devices",
        f"/v1/products/{product_key}/devices/device1",
    )
    for path in paths:
        assert "Secret" in (await platform.rest("GET", path)).text, path
        assert "Secret" not in (await platform.rest("GET", path, reader)).text, path


async def test_a_bound_key_acts_in_its_instance_only(platform: "Platform") -> None:
    made = await platform.rest("POST", "/v1/instances", json={"Name": f"tenant {secrets.token_hex(4)}"})
    assert made.status_code == 201, made.text
    instance = made.json()["InstanceId"]
    assert instance in (await platform.rest("GET", "/v1/instances", params={"Limit": 200})).text
    foreign = await made_product(platform)
    key = await made_key(platform, "administrator", instance)
    api: OpenApi = platform.api(key=key)
    own = (await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"]
    await api.ok("QueryProduct", ProductKey=own, IotInstanceId=instance)
    assert (await api.call("QueryProduct", ProductKey=foreign))["Code"] == "iot.prod.NotExistedProduct"
    pub = await api.call("Pub", ProductKey=foreign, TopicFullName=f"/{foreign}/device1/user/get", MessageContent="aGk=")
    assert pub["Code"] == "iot.prod.NotExistedProduct"
    with pytest.raises(ApiRefused) as refused:
        await api.call("QueryProduct", ProductKey=own, IotInstanceId="another")
    assert refused.value.code == "Forbidden.RAM"
    assert (await platform.rest("GET", "/v1/access-keys", key)).status_code == 403


async def test_a_bound_key_makes_rules_of_its_own_products_only(platform: "Platform") -> None:
    instance = (await platform.rest("POST", "/v1/instances", json={"Name": "tenant"})).json()["InstanceId"]
    foreign = await made_product(platform)
    api: OpenApi = platform.api(key=await made_key(platform, "administrator", instance))
    own = (await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"]
    rule = {"Name": "reads", "ShortTopic": "+/user/update", "Select": "*", "TopicType": 1}
    assert (await api.call("CreateRule", **rule, ProductKey=foreign))["Code"] == "iot.prod.NotExistedProduct"
    made = await api.ok("CreateRule", **rule, ProductKey=own)
    target = {"topic": f"/{foreign}/device1/user/get", "topicType": 1}
    action = await api.call(
        "CreateRuleAction", RuleId=made["RuleId"], Type="REPUBLISH", Configuration=json.dumps(target)
    )
    assert action["Code"] == "iot.prod.NotExistedProduct"


async def test_a_deleted_access_key_is_unknown(platform: "Platform") -> None:
    key = await made_key(platform, "reader")
    assert key.access_key_id in (await platform.rest("GET", "/v1/access-keys", params={"Limit": 200})).text
    assert (await platform.rest("DELETE", f"/v1/access-keys/{key.access_key_id}")).status_code == 200
    assert (await platform.rest("GET", "/v1/products", key)).status_code == 401
    again = await platform.rest("DELETE", f"/v1/access-keys/{key.access_key_id}")
    assert (again.status_code, again.json()["code"]) == (404, "iot.accesskey.NotExistedAccessKey")


async def test_given_access_keys_are_kept(platform: "Platform") -> None:
    key = Key(f"ak{secrets.token_hex(6)}", secrets.token_hex(16))
    body = {"Role": "reader", "AccessKeyId": key.access_key_id, "AccessKeySecret": key.access_key_secret}
    assert (await platform.rest("POST", "/v1/access-keys", json=body)).status_code == 201
    assert (await platform.api(key=key).ok("QueryProductList"))["Success"] is True
    assert (await platform.rest("POST", "/v1/access-keys", json=body)).status_code == 409
    assert (await platform.rest("POST", "/v1/access-keys", json=body | {"AccessKeySecret": ""})).status_code == 400


async def test_named_secrets_are_stored_and_never_shown(platform: "Platform") -> None:
    path = f"/v1/secrets/dsn-{secrets.token_hex(4)}"
    assert (await platform.rest("PUT", path, json={"Value": "very secret"})).status_code == 200
    listed = await platform.rest("GET", "/v1/secrets")
    assert path.rpartition("/")[2] in [row["Name"] for row in listed.json()["Secrets"]]
    assert "very secret" not in listed.text
    assert (await platform.rest("DELETE", path)).status_code == 200
    assert (await platform.rest("DELETE", path)).json()["code"] == "iot.secret.NotExistedSecret"
    assert (await platform.rest("PUT", path, json={"Value": ""})).status_code == 400


async def test_limits_of_a_product_are_set(platform: "Platform") -> None:
    product_key = await made_product(platform)
    path = f"/v1/products/{product_key}/limits"
    answer = await platform.rest("PUT", path, json={"UpQos1PerSecond": 200, "Mode": "observe"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["Version"] >= 1
    assert (await platform.rest("PUT", path, json={"UpQos1PerSecond": -1})).status_code == 400
    assert (await platform.rest("PUT", "/v1/products/nosuchone/limits", json={})).status_code == 404


async def test_imported_identities_are_kept(platform: "Platform") -> None:
    product_key, secret = f"a1{secrets.token_hex(4)}", secrets.token_hex(8)
    product = {
        "ProductKey": product_key,
        "ProductSecret": secret,
        "ProductName": f"p_{secrets.token_hex(4)}",
        "NodeType": 0,
    }
    made = await platform.rest("POST", "/v1/import/products", json=product)
    assert made.status_code == 201, made.text
    assert (await platform.rest("GET", f"/v1/products/{product_key}")).json()["Data"]["ProductSecret"] == secret
    device = {
        "ProductKey": product_key,
        "DeviceName": "device1",
        "DeviceSecret": "d" * 32,
        "IotId": secrets.token_hex(12),
    }
    made = await platform.rest("POST", "/v1/import/devices", json=device)
    assert made.status_code == 201, made.text
    by_id = await platform.api().ok("QueryDeviceDetail", IotId=device["IotId"])
    assert (by_id["Data"]["DeviceName"], by_id["Data"]["DeviceSecret"]) == ("device1", "d" * 32)
    assert (await platform.rest("POST", "/v1/import/products", json=product)).status_code == 409
    assert (await platform.rest("POST", "/v1/import/devices", json=device)).status_code == 409
    for name in ("readings", "update"):
        topic = {"ProductKey": product_key, "TopicShortName": name, "Operation": "PUB"}
        topic_id = secrets.randbelow(10**12) + 10**12
        made = await platform.rest("POST", "/v1/import/topics", json=topic | {"TopicId": topic_id})
        assert (made.status_code, made.json()) == (201, {"TopicId": topic_id})
        listed = (await platform.rest("GET", f"/v1/products/{product_key}/topics")).json()
        infos = listed["Data"]["ProductTopicInfo"]
        assert str(topic_id) in {info["Id"] for info in infos if info["TopicShortName"] == name}
        again = {"ProductKey": product_key, "TopicShortName": "another", "Operation": "PUB", "TopicId": topic_id}
        assert (await platform.rest("POST", "/v1/import/topics", json=again)).status_code == 409
    assert (await platform.rest("POST", "/v1/import/topics", json=topic)).status_code == 400
    rule = {"RuleId": secrets.randbelow(10**9) + 10**9, "Name": f"r_{secrets.token_hex(4)}"}
    made = await platform.rest("POST", "/v1/import/rules", json=rule)
    assert (made.status_code, made.json()) == (201, {"RuleId": rule["RuleId"]})
