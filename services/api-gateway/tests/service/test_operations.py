"""Every action of the public contract against the real owners, and the shape of its answer (open-api.md §6)."""

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from tests.support.openapi import ApiRefused, OpenApi
from thinghubpb.gateway.v1 import gateway_pb2 as pb

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")


def base64_of(payload: bytes) -> str:
    return base64.b64encode(payload).decode()


async def made_product(api: OpenApi) -> str:
    return str((await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"])


async def made_device(api: OpenApi) -> tuple[str, str]:
    product_key = await made_product(api)
    await api.ok("RegisterDevice", ProductKey=product_key, DeviceName="device1")
    return product_key, "device1"


def bare(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without the four common members."""
    return {
        name: value for name, value in answer.items() if name not in ("RequestId", "Success", "Code", "ErrorMessage")
    }


async def test_products(platform: "Platform") -> None:
    api = platform.api()
    name = f"p_{secrets.token_hex(6)}"
    made = bare(
        await api.ok(
            "CreateProduct", ProductName=name, NodeType=1, DataFormat=0, Description="一 b", NetType="ETHERNET"
        )
    )
    key = made["ProductKey"]
    assert made["Data"] == {
        "ProductKey": key,
        "ProductName": name,
        "ProductSecret": made["Data"]["ProductSecret"],
        "Description": "一 b",
        "NodeType": 1,
        "DataFormat": 0,
        "AuthType": "secret",
        "Id2": False,
    }
    shown = bare(await api.ok("QueryProduct", ProductKey=key))["Data"]
    assert shown["ProductSecret"] == made["Data"]["ProductSecret"]
    assert (shown["NetType"], shown["DeviceCount"], shown["Owner"]) == (7, 0, True)
    assert shown["ProductStatus"].endswith("_STATUS")
    assert isinstance(shown["GmtCreate"], int)
    page = bare(await api.ok("QueryProductList", CurrentPage=1, PageSize=200))["Data"]
    assert name in [row["ProductName"] for row in page["List"]["ProductInfo"]]
    assert page["Total"] >= 1
    assert bare(await api.ok("DeleteProduct", ProductKey=key)) == {}
    assert (await api.call("QueryProduct", ProductKey=key))["Code"] == "iot.prod.NotExistedProduct"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"NodeType": 0}, "iot.prod.NullProductName"),
        ({"ProductName": "abcd", "NodeType": 5}, "iot.prod.InvalidNodeType"),
        ({"ProductName": "a", "NodeType": 0}, "iot.prod.InvalidFormattedProductName"),
        ({"ProductName": "a" * 200, "NodeType": 0}, "iot.prod.InvalidFormattedProductName"),
        ({"ProductName": "abcd", "NodeType": 0, "Description": "d" * 101}, "iot.prod.LongProductDesc"),
    ],
)
async def test_bad_products_are_refused(platform: "Platform", parameters: dict[str, Any], code: str) -> None:
    assert (await platform.api().call("CreateProduct", **parameters))["Code"] == code


async def test_a_product_with_devices_is_not_deleted(platform: "Platform") -> None:
    api = platform.api()
    product_key, _ = await made_device(api)
    assert (await api.call("DeleteProduct", ProductKey=product_key))["Code"] == "iot.prod.QueryDeviceCountActionError"


async def test_devices(platform: "Platform") -> None:
    api = platform.api()
    product_key = await made_product(api)
    made = bare(await api.ok("RegisterDevice", ProductKey=product_key, DeviceName="device1", Nickname="one"))["Data"]
    assert set(made) == {"ProductKey", "DeviceName", "DeviceSecret", "IotId", "Nickname"}
    generated = bare(await api.ok("RegisterDevice", ProductKey=product_key))["Data"]
    assert generated["DeviceName"]
    assert "Nickname" not in generated
    listed = bare(await api.ok("QueryDevice", ProductKey=product_key, PageSize=1, CurrentPage=1))
    assert (listed["Total"], listed["PageCount"], listed["Page"], listed["PageSize"]) == (2, 2, 1, 1)
    row = listed["Data"]["DeviceInfo"][0]
    assert row["DeviceStatus"] == "UNACTIVE"
    assert len(row["GmtCreate"]) == len("2018-08-06 10:47:50")
    assert row["UtcCreate"].endswith("Z")
    rest = bare(await api.ok("QueryDevice", ProductKey=product_key, PageSize=1, NextToken=listed["NextToken"]))
    assert rest["Data"]["DeviceInfo"][0]["DeviceName"] != row["DeviceName"]
    by_id = bare(await api.ok("QueryDeviceDetail", IotId=made["IotId"], ProductKey="wrong", DeviceName="wrong"))["Data"]
    assert (by_id["DeviceName"], by_id["DeviceSecret"], by_id["Status"]) == (
        "device1",
        made["DeviceSecret"],
        "UNACTIVE",
    )
    assert "UtcOnline" not in by_id
    assert bare(await api.ok("DeleteDevice", IotId=made["IotId"])) == {}
    gone = await api.call("QueryDeviceDetail", ProductKey=product_key, DeviceName="device1")
    assert gone["Code"] == "iot.device.NotExistedDevice"


@pytest.mark.parametrize(
    ("action", "parameters", "code"),
    [
        ("RegisterDevice", {"DeviceName": "a b c d"}, "iot.device.InvalidFormattedDeviceName"),
        ("RegisterDevice", {"DeviceName": "d" * 200}, "iot.device.InvalidFormattedDeviceName"),
        ("RegisterDevice", {"DeviceName": "device1"}, "iot.device.AlreadyExistedDeviceName"),
        ("DisableThing", {"DeviceName": "nobody"}, "iot.device.NotExistedDevice"),
        ("EnableThing", {"DeviceName": "nobody"}, "iot.device.NotExistedDevice"),
        ("DeleteDevice", {"DeviceName": "nobody"}, "iot.device.NotExistedDevice"),
        ("GetDeviceStatus", {"DeviceName": "nobody"}, "iot.device.NotExistedDevice"),
        ("GetDeviceStatus", {"IotId": "nobody"}, "iot.device.NotExistedDevice"),
        ("BatchGetDeviceState", {"DeviceName": ["nobody"]}, "iot.device.NotExistedDevice"),
        ("BatchGetDeviceState", {}, "iot.device.NoneDeviceNameElement"),
        ("BatchGetDeviceState", {"DeviceName": ["d"] * 51}, "iot.device.TooManyDevicesPerTime"),
    ],
)
async def test_bad_devices_are_refused(
    platform: "Platform", action: str, parameters: dict[str, Any], code: str
) -> None:
    api = platform.api()
    product_key, _ = await made_device(api)
    assert (await api.call(action, ProductKey=product_key, **parameters))["Code"] == code


async def test_status_is_disabled_before_online_before_offline(platform: "Platform") -> None:
    api = platform.api()
    product_key, name = await made_device(api)

    async def state() -> dict[str, Any]:
        return bare(await api.ok("GetDeviceStatus", ProductKey=product_key, DeviceName=name))["Data"]  # type: ignore[no-any-return]

    assert (await state())["Status"] == "UNACTIVE"
    platform.gateways.online[name] = pb.Session(
        online=True, connected_ms=1_700_000_000_000, client_address="10.1.2.3:45"
    )
    assert await state() == {"Status": "ONLINE", "Timestamp": 1_700_000_000_000}
    batch = bare(await api.ok("BatchGetDeviceState", ProductKey=product_key, DeviceName=[name, "nobody"]))
    (row,) = batch["DeviceStatusList"]["DeviceStatus"]
    assert (row["Status"], row["DeviceName"], row["AsAddress"]) == ("ONLINE", name, "10.1.2.3:45")
    assert row["LastOnlineTime"] == "2023-11-14T22:13:20.000Z"
    detail = bare(await api.ok("QueryDeviceDetail", ProductKey=product_key, DeviceName=name))["Data"]
    assert (detail["Status"], detail["IpAddress"], detail["GmtOnline"]) == ("ONLINE", "10.1.2.3", "2023-11-15 06:13:20")
    await api.ok("DisableThing", ProductKey=product_key, DeviceName=name)
    assert (await state())["Status"] == "DISABLE"
    await api.ok("EnableThing", ProductKey=product_key, DeviceName=name)
    assert (await state())["Status"] == "ONLINE"


async def test_a_detail_is_given_while_no_gateway_answers(platform: "Platform") -> None:
    api = platform.api()
    product_key, name = await made_device(api)
    platform.gateways.away = True
    assert (await api.ok("QueryDeviceDetail", ProductKey=product_key, DeviceName=name))["Data"]["Status"] == "UNACTIVE"


async def test_a_disabled_device_that_no_gateway_could_be_told_of_is_service_unavailable(platform: "Platform") -> None:
    api = platform.api()
    product_key, name = await made_device(api)
    device = {"ProductKey": product_key, "DeviceName": name}
    platform.gateways.away = True
    with pytest.raises(ApiRefused) as refused:
        await api.call("DisableThing", **device)
    assert (refused.value.status, refused.value.code) == (503, "ServiceUnavailable")
    platform.gateways.away = False
    assert (await api.ok("GetDeviceStatus", **device))["Data"]["Status"] == "DISABLE"
    await api.ok("DisableThing", **device)


async def test_topic_classes(platform: "Platform") -> None:
    api = platform.api()
    product_key = await made_product(api)
    made = bare(
        await api.ok("CreateProductTopic", ProductKey=product_key, TopicShortName="alarm", Operation="SUB", Desc="d")
    )
    assert isinstance(made["TopicId"], int)
    rows = bare(await api.ok("QueryProductTopic", ProductKey=product_key))["Data"]["ProductTopicInfo"]
    (row,) = [row for row in rows if row["TopicShortName"].endswith("alarm")]
    assert (row["Operation"], row["Id"], row["Desc"]) == ("SUB", str(made["TopicId"]), "d")
    again = await api.call("CreateProductTopic", ProductKey=product_key, TopicShortName="alarm", Operation="SUB")
    assert again["Code"] == "iot.messagebroker.TopicAlreadyFound"
    bad = await api.call("CreateProductTopic", ProductKey=product_key, TopicShortName="x", Operation="READ")
    assert bad["Code"] == "iot.messagebroker.InvalidTopicTemplateOperationValue"
    assert (await api.call("QueryProductTopic", ProductKey="nosuch"))["Code"] == "iot.prod.NotExistedProduct"


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (pb.OUTCOME_DELIVERED, "delivered"),
        (pb.OUTCOME_SENT, "sent"),
        (pb.OUTCOME_QUEUED, "queued"),
        (pb.OUTCOME_NO_SUBSCRIBER, "no_subscriber"),
        (pb.OUTCOME_OFFLINE, "offline"),
        (pb.OUTCOME_TIMEOUT, "timeout"),
    ],
)
async def test_pub_succeeds_with_an_id_whatever_became_of_it(platform: "Platform", outcome: Any, told: str) -> None:
    api = platform.api()
    product_key, name = await made_device(api)
    platform.gateways.outcome = outcome
    message = {
        "ProductKey": product_key,
        "TopicFullName": f"/{product_key}/{name}/user/get",
        "MessageContent": base64_of(b"hi"),
    }
    answer = bare(await api.ok("Pub", **message, Qos=1, UserProp=[{"Key": "k", "Value": "v"}]))
    (sent,) = platform.gateways.delivered
    assert answer == {"MessageId": str(sent.message_id)}
    assert 0 < sent.message_id < 2**63
    assert (sent.payload, sent.qos, sent.topic, sent.device.device_name) == (b"hi", 1, message["TopicFullName"], name)
    by_rest = await platform.rest("POST", "/v1/messages", json=message | {"Qos": 1})
    assert by_rest.status_code == 200
    assert by_rest.json()["Outcome"] == told
    assert platform.gateways.waits == [0, 2000]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"TopicFullName": "/sys/{pk}/{dn}/thing/service/property/set"}, "iot.messagebroker.InvalidFormattedTopicName"),
        ({"TopicFullName": "/{pk}/{dn}/user/update"}, "iot.messagebroker.InvalidFormattedTopicName"),
        ({"TopicFullName": "/{pk}/{dn}/user/none"}, "iot.messagebroker.InvalidFormattedTopicName"),
        ({"TopicFullName": "/other/{dn}/user/get"}, "iot.messagebroker.InvalidFormattedTopicName"),
        ({"TopicFullName": None}, "iot.messagebroker.NullTopicName"),
        ({"DeviceName": "another"}, "iot.messagebroker.InvalidFormattedTopicName"),
        ({"MessageContent": "no base64!"}, "iot.messagebroker.MessageContentIsNotBase64Encode"),
        ({"MessageContent": "aGk"}, "iot.messagebroker.MessageContentIsNotBase64Encode"),
        ({"MessageContent": "é"}, "iot.messagebroker.MessageContentIsNotBase64Encode"),
        ({"TopicFullName": "/{pk}/nobody/user/get"}, "iot.device.NotExistedDevice"),
        ({"ProductKey": "nosuch", "TopicFullName": "/nosuch/{dn}/user/get"}, "iot.prod.NotExistedProduct"),
        ({"ProductKey": None}, "iot.prod.NullProductKey"),
    ],
)
async def test_bad_messages_are_refused(platform: "Platform", change: dict[str, Any], code: str) -> None:
    api = platform.api()
    product_key, name = await made_device(api)
    message = {"ProductKey": product_key, "TopicFullName": "/{pk}/{dn}/user/get", "MessageContent": "aGk="} | change
    if message["TopicFullName"]:
        message["TopicFullName"] = message["TopicFullName"].format(pk=product_key, dn=name)
    assert (await api.call("Pub", **message))["Code"] == code


async def test_a_message_of_256_kb_is_taken_and_no_larger_one(platform: "Platform") -> None:
    api = platform.api()
    product_key, name = await made_device(api)
    topic = f"/{product_key}/{name}/user/get"
    for size, status in ((256 * 1024, 200), (256 * 1024 + 1, 413)):
        body = {"ProductKey": product_key, "TopicFullName": topic, "MessageContent": base64_of(b"x" * size)}
        assert (await platform.rest("POST", "/v1/messages", json=body)).status_code == status


async def test_a_message_that_could_not_be_forwarded_fails(platform: "Platform") -> None:
    api = platform.api()
    product_key, name = await made_device(api)
    message = {"ProductKey": product_key, "TopicFullName": f"/{product_key}/{name}/user/get", "MessageContent": "aGk="}
    platform.gateways.outcome = pb.OUTCOME_FAILED
    assert (await api.call("Pub", **message))["Code"] == "iot.messagebroker.PublishMessageFailed"
    platform.gateways.away = True
    with pytest.raises(ApiRefused) as refused:
        await api.call("Pub", **message)
    assert refused.value.status == 503


@pytest.mark.parametrize(
    ("code", "name", "public"),
    [
        (pb.RequestResponse.CODE_TIMEOUT, "TIMEOUT", "iot.messagebroker.TIMEOUT"),
        (pb.RequestResponse.CODE_OFFLINE, "OFFLINE", "iot.messagebroker.OFFLINE"),
        (pb.RequestResponse.CODE_HALFCONN, "HALFCONN", "iot.messagebroker.HALFCONN"),
        (pb.RequestResponse.CODE_UNKNOWN, "UNKNOW", "iot.messagebroker.RrpcFailed"),
    ],
)
async def test_rrpc_without_an_answer_says_why_twice(platform: "Platform", code: Any, name: str, public: str) -> None:
    api = platform.api()
    product_key, device = await made_device(api)
    platform.gateways.reply = pb.RequestResponse(code=code, message_id=7)
    request = {"ProductKey": product_key, "DeviceName": device, "RequestBase64Byte": "aGk=", "Timeout": 1000}
    answer = await api.call("RRpc", **request)
    assert (answer["Success"], answer["Code"], answer["RrpcCode"], answer["MessageId"]) == (False, public, name, 7)
    assert answer["ErrorMessage"]
    by_rest = await platform.rest("POST", f"/v1/products/{product_key}/devices/{device}/rrpc", json=request)
    assert (by_rest.status_code, by_rest.json()["RrpcCode"]) == (200, name)


async def test_rrpc_with_an_answer(platform: "Platform") -> None:
    api = platform.api()
    product_key, name = await made_device(api)
    platform.gateways.reply = pb.RequestResponse(code=pb.RequestResponse.CODE_SUCCESS, message_id=9, payload=b"pong")
    answer = await api.ok(
        "RRpc",
        ProductKey=product_key,
        DeviceName=name,
        RequestBase64Byte=base64_of(b"ping"),
        Timeout=8000,
        Topic="/a/b",
    )
    assert bare(answer) == {"RrpcCode": "SUCCESS", "MessageId": 9, "PayloadBase64Byte": base64_of(b"pong")}
    (sent,) = platform.gateways.requests
    assert (sent.payload, sent.topic, sent.timeout_ms, sent.device.product_key) == (b"ping", "/a/b", 8000, product_key)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Timeout": 999}, "iot.messagebroker.InvalidTimeoutValue"),
        ({"Timeout": 8001}, "iot.messagebroker.InvalidTimeoutValue"),
        ({"RequestBase64Byte": "?"}, "iot.messagebroker.MessageContentIsNotBase64Encode"),
        ({"Topic": "a/+"}, "iot.messagebroker.InvalidFormattedTopicName"),
        ({"DeviceName": "nobody"}, "iot.device.NotExistedDevice"),
        ({"ProductKey": "nosuch"}, "iot.prod.NotExistedProduct"),
    ],
)
async def test_bad_requests_to_devices_are_refused(platform: "Platform", change: dict[str, Any], code: str) -> None:
    api = platform.api()
    product_key, name = await made_device(api)
    request = {"ProductKey": product_key, "DeviceName": name, "RequestBase64Byte": "aGk=", "Timeout": 1000} | change
    assert (await api.call("RRpc", **request))["Code"] == code


async def test_rules(platform: "Platform", postgres_dsn: str) -> None:
    api = platform.api()
    product_key, name = await made_device(api)
    title = f"r_{secrets.token_hex(6)}"
    rule = bare(
        await api.ok(
            "CreateRule", Name=title, ProductKey=product_key, ShortTopic="+/user/update", Select="deviceName() as d, v",
            Where="v > 1", DataType="JSON", TopicType=1, RuleDesc="desc",
        )
    )["RuleId"]  # fmt: skip
    shown = bare(await api.ok("GetRule", RuleId=rule))["RuleInfo"]
    assert (shown["Id"], shown["Name"], shown["Status"], shown["TopicType"]) == (rule, title, "STOP", 1)
    assert (shown["Where"], shown["Topic"], shown["RuleDesc"]) == ("v > 1", f"/{product_key}/+/user/update", "desc")
    assert shown["UtcCreated"].endswith("Z")
    assert len(shown["Created"]) == 19
    action = {"topic": f"/{product_key}/{name}/user/get", "topicType": 1}
    made = bare(await api.ok("CreateRuleAction", RuleId=rule, Type="REPUBLISH", Configuration=json.dumps(action)))
    (row,) = bare(await api.ok("ListRuleActions", RuleId=rule))["RuleActionList"]["RuleActionInfo"]
    assert (row["Id"], row["RuleId"], row["Type"], row["ErrorActionFlag"]) == (
        made["ActionId"],
        rule,
        "REPUBLISH",
        False,
    )
    assert json.loads(row["Configuration"])["topic"] == action["topic"]
    await api.ok("StartRule", RuleId=rule)
    listed = bare(await api.ok("ListRule", CurrentPage=1, PageSize=200))
    assert [info["Status"] for info in listed["Data"]["RuleInfo"] if info["Id"] == rule] == ["RUNNING"]
    assert "TopicType" not in listed["Data"]["RuleInfo"][0]
    await api.ok("StopRule", RuleId=rule)
    assert bare(await api.ok("DeleteRuleAction", ActionId=made["ActionId"])) == {}
    assert bare(await api.ok("DeleteRule", RuleId=rule)) == {}
    assert (await api.call("GetRule", RuleId=rule))["Code"] == "iot.rule.NotFoundRule"


async def test_a_row_action_needs_its_secret_and_its_table(platform: "Platform", postgres_dsn: str) -> None:
    api = platform.api()
    product_key = await made_product(api)
    rule = (await api.ok("CreateRule", Name=f"r_{secrets.token_hex(6)}", ProductKey=product_key, Select="v",
                         ShortTopic="+/user/update"))["RuleId"]  # fmt: skip
    secret, table = f"dsn-{secrets.token_hex(4)}", f"rows_{secrets.token_hex(4)}"
    action = {"dsn_ref": secret, "table": table, "columns": {"v": "${v}"}, "mode": "insert"}
    request = {"RuleId": rule, "Type": "RDS", "Configuration": json.dumps(action)}
    assert (await api.call("CreateRuleAction", **request))["Code"] == "iot.rule.ParseRuleActionConfigError"
    assert (await platform.rest("PUT", f"/v1/secrets/{secret}", json={"Value": postgres_dsn})).status_code == 200
    refused = await api.call("CreateRuleAction", **request)
    assert refused["Code"] == "iot.rule.ParseRuleActionConfigError"
    assert table in refused["ErrorMessage"]
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE TABLE {table} (v integer, message_id bigint)")
    without_key = await platform.rest("POST", f"/v1/rules/{rule}/actions", json=request)
    assert without_key.json()["code"] == "iot.rule.ParseRuleActionConfigError"
    assert "UNIQUE" in without_key.text.upper()
    await connection.execute(f"ALTER TABLE {table} ADD UNIQUE (message_id)")
    await connection.close()
    assert (await api.ok("CreateRuleAction", **request))["ActionId"] > 0


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"Select": "a b c"}, "iot.messagebroker.IncorrectRuleSql"),
        ({"Where": "a >"}, "iot.messagebroker.IncorrectRuleSql"),
        ({"TopicType": 0, "ShortTopic": "+/thing/nothing/like/it"}, "iot.ruleng.IncorrectSysTopic"),
        ({"TopicType": 7}, "iot.ruleng.IncorrectType"),
        ({"Name": "n" * 31}, "iot.rule.CreateRuleException"),
    ],
)
async def test_bad_rules_are_refused(platform: "Platform", parameters: dict[str, Any], code: str) -> None:
    api = platform.api()
    product_key = await made_product(api)
    rule = {
        "Name": f"r_{secrets.token_hex(6)}",
        "ProductKey": product_key,
        "ShortTopic": "+/user/update",
        "Select": "*",
    }
    answer = await api.call("CreateRule", **rule | parameters)
    assert answer["Code"] == code
    if code.endswith("Sql"):
        assert "position" in answer["ErrorMessage"]


@pytest.mark.parametrize(
    ("action", "parameters", "code"),
    [
        ("StartRule", {"RuleId": 123456789}, "iot.rule.NotFoundRule"),
        ("StopRule", {"RuleId": 123456789}, "iot.rule.NotFoundRule"),
        ("DeleteRule", {"RuleId": 123456789}, "iot.rule.NotFoundRule"),
        ("ListRuleActions", {"RuleId": 123456789}, "iot.rule.NotFoundRule"),
        ("DeleteRuleAction", {"ActionId": 123456789}, "iot.rule.NotFoundRuleAction"),
        ("GetRule", {}, "iot.rule.IncorrentRuleId"),
        ("CreateRuleAction", {"RuleId": 1, "Type": "RDS"}, "iot.ruleng.NullRuleActionConfig"),
    ],
)
async def test_rules_that_do_not_exist(
    platform: "Platform", action: str, parameters: dict[str, Any], code: str
) -> None:
    assert (await platform.api().call(action, **parameters))["Code"] == code
