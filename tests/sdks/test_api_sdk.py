"""Servers on alibabacloud-iot20180120, over HTTP and HTTPS with both signatures (open-api §1-6)."""

import asyncio
import base64
import hashlib
import json
import secrets

import httpx
import pytest

from tests.integration.flows.steps import connected, eventually
from tests.sdks.driver import CLIENTS, Raised, Servers
from tests.sdks.steps import device, names, product
from tests.support.identity import Identity
from tests.support.platform import AllInOne

pytestmark = pytest.mark.asyncio(loop_scope="session")  # the SDK takes seconds to import: one process for all


async def test_products_and_devices_live_and_die_with_every_signature(servers: Servers) -> None:
    for client in CLIENTS:
        name = f"green house 温室 {secrets.token_hex(4)}"
        made = await servers.ok(client, "create_product", ProductName=name, NodeType=0, Description="a b+c%d")
        key = made["ProductKey"]
        kept = (await servers.ok(client, "query_product", ProductKey=key))["Data"]
        assert (kept["ProductName"], kept["Description"], kept["NodeType"]) == (name, "a b+c%d", 0)
        listed = (await servers.ok(client, "query_product_list", CurrentPage=1, PageSize=200))["Data"]
        assert key in [row["ProductKey"] for row in listed["List"]["ProductInfo"]]
        one = (await servers.ok(client, "register_device", ProductKey=key, DeviceName="dev1"))["Data"]
        detail = (await servers.ok(client, "query_device_detail", ProductKey=key, DeviceName="dev1"))["Data"]
        assert (detail["IotId"], detail["DeviceSecret"]) == (one["IotId"], one["DeviceSecret"])
        assert detail["Status"].upper() == "UNACTIVE"
        state = await servers.ok(client, "batch_get_device_state", ProductKey=key, DeviceName=["dev1"])
        assert state["DeviceStatusList"]["DeviceStatus"][0]["Status"] == "UNACTIVE"
        assert (await servers.ok(client, "query_device", ProductKey=key))["Total"] == 1
        missing = await servers.call(client, "query_device_detail", ProductKey=key, DeviceName="nope")
        assert (missing["Success"], missing["Code"]) == (False, "iot.device.NotExistedDevice")
        assert missing["ErrorMessage"]
        await servers.ok(client, "disable_thing", ProductKey=key, DeviceName="dev1")
        assert (await servers.ok(client, "get_device_status", IotId=one["IotId"]))["Data"]["Status"] == "DISABLE"
        await servers.ok(client, "enable_thing", ProductKey=key, DeviceName="dev1")
        await servers.ok(client, "delete_device", ProductKey=key, DeviceName="dev1")
        await servers.ok(client, "delete_product", ProductKey=key)


async def test_a_wrong_key_is_refused_with_its_code(servers: Servers) -> None:
    with pytest.raises(Raised) as refused:
        await servers.call("wrong key", "query_product_list", CurrentPage=1, PageSize=10)
    assert "SignatureDoesNotMatch" in str(refused.value)


async def test_devices_are_registered_by_application(servers: Servers) -> None:
    key = await product(servers)
    wanted = ["kitchen", "cellar", "roof"]
    checked = await servers.ok("https", "batch_check_device_names", ProductKey=key, DeviceName=wanted)
    apply_id = checked["Data"]["ApplyId"]
    await servers.ok("https", "batch_register_device_with_apply_id", ProductKey=key, ApplyId=apply_id)

    async def done() -> bool:
        answer = await servers.ok("https", "query_batch_register_device_status", ProductKey=key, ApplyId=apply_id)
        return bool(answer["Data"]["Status"] == "CREATE_SUCCESS")

    assert await eventually(done)
    page = await servers.ok("https", "query_page_by_apply_id", ApplyId=apply_id, CurrentPage=1, PageSize=50)
    assert sorted(row["DeviceName"] for row in page["ApplyDeviceList"]["ApplyDeviceInfo"]) == sorted(wanted)
    counted = await servers.ok("https", "query_device_statistics", ProductKey=key)
    assert counted["Data"]["deviceCount"] == 3
    inactive = await servers.ok("https", "query_device_by_status", ProductKey=key, Status=0, CurrentPage=1, PageSize=10)
    assert len(inactive["Data"]["SimpleDeviceInfo"]) == 3


async def test_tags_are_saved_read_and_deleted(servers: Servers) -> None:
    one = names(await device(servers, await product(servers)))
    await servers.ok("http-v1", "save_device_prop", **one, Props='{"room":"hall 1","floor":"0"}')
    kept = await servers.ok("http-v1", "query_device_prop", **one)
    assert json.loads(kept["Props"]) == {"room": "hall 1", "floor": "0"}
    await servers.ok("http-v1", "delete_device_prop", **one, PropKey="floor")
    assert json.loads((await servers.ok("http-v1", "query_device_prop", **one))["Props"]) == {"room": "hall 1"}


async def test_a_shadow_is_written_and_read(servers: Servers) -> None:
    one = names(await device(servers, await product(servers)))
    desired = {"method": "update", "state": {"desired": {"color": "dark red"}}, "version": 1}
    await servers.ok("http", "update_device_shadow", **one, ShadowMessage=json.dumps(desired), DeltaUpdate=True)
    shadow = json.loads((await servers.ok("http", "get_device_shadow", **one))["ShadowMessage"])
    assert shadow["payload"]["state"]["desired"] == {"color": "dark red"}
    late = await servers.call("http", "update_device_shadow", **one, ShadowMessage=json.dumps(desired))
    assert late["Code"] == "iot.messagebroker.UpdateDeviceShadowMessageFailed"


async def test_messages_reach_the_device_and_a_call_is_answered(all_in_one: AllInOne, servers: Servers) -> None:
    identity = await device(servers, await product(servers))
    async with await connected(all_in_one, identity) as thing:
        await thing.subscribe(identity.topic("get"))
        for client in CLIENTS:
            text = base64.b64encode(f"over {client} +/=".encode()).decode()
            sent = await servers.ok(
                client, "pub", ProductKey=identity.product_key, TopicFullName=identity.topic("get"), Qos=1,
                MessageContent=text,
            )  # fmt: skip
            assert int(sent["MessageId"]) > 0
            assert (await thing.receive()).payload == f"over {client} +/=".encode()
        asked = {**names(identity), "RequestBase64Byte": base64.b64encode(b"ping").decode(), "Timeout": 7000}
        calling = asyncio.create_task(servers.ok("https", "r_rpc", **asked))
        request = await thing.receive()
        thing.publish(request.topic.replace("/rrpc/request/", "/rrpc/response/"), b"pong", qos=0)
        answer = await calling
        assert (answer["RrpcCode"], base64.b64decode(answer["PayloadBase64Byte"])) == ("SUCCESS", b"pong")
    sent = await servers.call("https", "r_rpc", **asked | {"Timeout": 1000})
    assert sent["RrpcCode"] == "OFFLINE"


async def test_rules_and_topic_classes_are_made_and_devices_imported(all_in_one: AllInOne, servers: Servers) -> None:
    key = await product(servers)
    made = await servers.ok("http", "create_product_topic", ProductKey=key, TopicShortName="news", Operation="SUB")
    topics = await servers.ok("http", "query_product_topic", ProductKey=key)
    assert made["TopicId"] in [int(row["Id"]) for row in topics["Data"]["ProductTopicInfo"]]
    old = {"DeviceName": "from-before", "DeviceSecret": "the-secret-it-had"}
    await servers.ok("http", "batch_import_device", ProductKey=key, DeviceList=[old])
    identity = Identity(key, old["DeviceName"], old["DeviceSecret"])
    forward = json.dumps({"topic": identity.topic("news"), "topicType": 1})
    rule = await servers.ok(
        "http", "create_rule", Name="forward all", ProductKey=key, ShortTopic="+/user/update", Select="*",
        DataType="JSON", TopicType=1,
    )  # fmt: skip
    await servers.ok("http", "create_rule_action", RuleId=rule["RuleId"], Type="REPUBLISH", Configuration=forward)
    await servers.ok("http", "start_rule", RuleId=rule["RuleId"])
    assert (await servers.ok("http", "get_rule", RuleId=rule["RuleId"]))["RuleInfo"]["Status"] == "RUNNING"
    async with await connected(all_in_one, identity) as thing:
        assert await thing.subscribe(identity.topic("news")) == (1,)
        thing.publish(identity.topic("update"), b'{"v":1}')
        assert json.loads((await thing.receive(20)).payload) == {"v": 1}
        news = base64.b64encode(b"hello all").decode()
        await servers.ok("http", "pub_broadcast", ProductKey=key, MessageContent=news)
        assert (await thing.receive()).payload == b"hello all"
    await servers.ok("http", "stop_rule", RuleId=rule["RuleId"])
    await servers.ok("http", "delete_rule", RuleId=rule["RuleId"])


async def uploaded(servers: Servers, package: bytes) -> str:
    """By the form that GenerateOTAUploadURL gives; the URL that names it from then on."""
    place = (await servers.ok("https", "generate_otaupload_url", FileSuffix="bin"))["Data"]
    form = {"key": place["Key"], "policy": place["Policy"]}
    form |= {"OSSAccessKeyId": place["OSSAccessKeyId"], "Signature": place["Signature"]}
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        answer = await http.post(place["Host"], data=form, files={"file": ("f.bin", package)})
    assert answer.status_code == 204
    return str(place["FirmwareUrl"])


async def test_an_upgrade_job_is_made_followed_and_cancelled(servers: Servers) -> None:
    key = await product(servers)
    here, there = await device(servers, key), await device(servers, key)
    package = secrets.token_bytes(4000)
    firmware = (
        await servers.ok(
            "https", "create_otafirmware", FirmwareName="release 2", DestVersion="2.0.0", ProductKey=key,
            FirmwareUrl=await uploaded(servers, package), FirmwareSize=len(package),
            FirmwareSign=hashlib.md5(package).hexdigest(), SignMethod="MD5",
        )
    )["Data"]["FirmwareId"]  # fmt: skip
    info = (await servers.ok("https", "query_otafirmware", FirmwareId=firmware))["FirmwareInfo"]
    assert (info["FirmwareName"], info["DestVersion"], info["FirmwareSize"]) == ("release 2", "2.0.0", 4000)
    job = (
        await servers.ok(
            "https", "create_otastatic_upgrade_job", FirmwareId=firmware, ProductKey=key, TargetSelection="SPECIFIC",
            TargetDeviceName=[here.device_name, there.device_name],
        )
    )["Data"]["JobId"]  # fmt: skip
    assert (await servers.ok("https", "query_otajob", JobId=job))["Data"]["FirmwareId"] == firmware
    tasks = await servers.ok("https", "list_otatask_by_job", JobId=job)
    rows = tasks["Data"]["SimpleOTATaskInfo"]
    assert {row["DeviceName"]: row["TaskStatus"] for row in rows} == {
        here.device_name: "QUEUED",
        there.device_name: "QUEUED",
    }
    await servers.ok("https", "cancel_otatask_by_job", JobId=job, CancelQueuedTask=True)

    async def cancelled() -> bool:
        tasks = await servers.ok("https", "list_otatask_by_job", JobId=job)
        return all(row["TaskStatus"] == "CANCELED" for row in tasks["Data"]["SimpleOTATaskInfo"])

    assert await eventually(cancelled)
