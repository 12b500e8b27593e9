"""What a fleet does every day beside its messages: registration in batches, time, tags, broadcast."""

import asyncio
import base64
import json
import time
from typing import Any

import pytest

from tests.integration.flows.steps import connected, new_device, new_product, until_status
from tests.support.identity import Identity
from tests.support.openapi import ApiRefused
from tests.support.platform import Platform


async def a_batch_of_devices_is_registered_and_connects(platform: Platform) -> None:
    api = platform.api()
    product_key = await new_product(api)
    apply_id = (await api.ok("BatchRegisterDevice", ProductKey=product_key, Count=1200))["Data"]["ApplyId"]
    async with asyncio.timeout(60):
        while True:
            answer = await api.ok("QueryBatchRegisterDeviceStatus", ProductKey=product_key, ApplyId=apply_id)
            if answer["Data"]["Status"] == "CREATE_SUCCESS":
                break
            await asyncio.sleep(0.1)
    assert len(set(answer["Data"]["ValidList"]["Name"])) == 1200
    page = await api.ok("QueryPageByApplyId", ApplyId=apply_id, CurrentPage=24, PageSize=50)
    assert page["Total"] == 1200
    row = page["ApplyDeviceList"]["ApplyDeviceInfo"][-1]
    identity = Identity(product_key, row["DeviceName"], row["DeviceSecret"])
    async with await connected(platform, identity):
        await until_status(api, identity, "ONLINE")
        async with asyncio.timeout(20):
            while (await api.ok("QueryDeviceStatistics", ProductKey=product_key))["Data"]["onlineCount"] != 1:
                await asyncio.sleep(0.1)
        listed = await api.ok("QueryDeviceByStatus", ProductKey=product_key, Status=1, CurrentPage=1, PageSize=10)
        assert [one["DeviceName"] for one in listed["Data"]["SimpleDeviceInfo"]] == [identity.device_name]


async def imported_devices_connect_with_the_secrets_they_had(platform: Platform) -> None:
    api = platform.api()
    product_key = await new_product(api)
    devices = [{"DeviceName": "old1", "DeviceSecret": "secret-of-the-old-cloud", "Sn": "1"}]
    await api.ok("BatchImportDevice", ProductKey=product_key, DeviceList=devices)
    await api.ok("ImportDevice", ProductKey=product_key, DeviceName="old2", DeviceSecret="another-old-secret")
    for name, secret in (("old1", "secret-of-the-old-cloud"), ("old2", "another-old-secret")):
        identity = Identity(product_key, name, secret)
        async with await connected(platform, identity):
            await until_status(api, identity, "ONLINE")


async def a_device_is_told_the_time(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    async with await connected(platform, identity) as device:
        base = f"/ext/ntp/{identity.product_key}/{identity.device_name}"
        device.publish(f"{base}/request", b'{"deviceSendTime":"1571724098000"}', qos=0)
        answer = await device.receive()
        assert answer.topic == f"{base}/response"
        times = json.loads(answer.payload)
        assert times["deviceSendTime"] == "1571724098000"
        assert abs(int(times["serverSendTime"]) - time.time() * 1000) < 60_000


async def tags_by_device_and_by_caller(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    named = {"ProductKey": identity.product_key, "DeviceName": identity.device_name}
    topic = f"/sys/{identity.product_key}/{identity.device_name}/thing/deviceinfo"
    await api.ok("SaveDeviceProp", **named, Props='{"room":"hall"}')
    async with await connected(platform, identity) as device:

        async def ask(what: str, *params: dict[str, str]) -> dict[str, Any]:
            device.publish(f"{topic}/{what}", json.dumps({"id": "5|x", "version": "1.0", "params": params}).encode())
            answer = await device.receive(20)
            assert answer.topic == f"{topic}/{what}_reply"
            body: dict[str, Any] = json.loads(answer.payload)
            assert (body["id"], body["data"]) == ("5|x", {})
            return body

        sdk = {"attrKey": "SYS_SDK_LANGUAGE", "attrValue": "Python", "domain": "SYSTEM"}
        assert (await ask("update", {"attrKey": "serial", "attrValue": "17"}, sdk))["code"] == 200
        assert (await ask("update", {"attrKey": "serial"}))["code"] == 460
        props = json.loads((await api.ok("QueryDeviceProp", **named))["Props"])
        assert props == {"room": "hall", "serial": "17"}
        assert (await ask("delete", {"attrKey": "room"}))["code"] == 200
    props = json.loads((await api.ok("QueryDeviceProp", **named))["Props"])
    assert props == {"serial": "17"}


async def a_device_reads_the_thing_model_of_its_product(platform: Platform) -> None:
    api = platform.api()
    product_key = await new_product(api)
    identity = await new_device(api, product_key)
    async with await connected(platform, identity) as device:

        async def ask(path: str) -> dict[str, Any]:
            topic = f"/sys/{product_key}/{identity.device_name}/thing/{path}"
            device.publish(topic, b'{"id":"3|tsl","version":"1.0","params":{}}')
            answer = await device.receive(20)
            assert answer.topic == f"{topic}_reply"
            body: dict[str, Any] = json.loads(answer.payload)
            assert body["id"] == "3|tsl"
            return body

        assert (await ask("dsltemplate/get"))["code"] == 5159
        power = {"identifier": "Power", "name": "Power", "accessMode": "rw", "dataType": {"type": "text"}}
        await api.ok("ImportThingModelTsl", ProductKey=product_key, TslStr=json.dumps({"properties": [power]}))
        await api.ok("PublishThingModel", ProductKey=product_key)
        whole, short = (await ask("dsltemplate/get"))["data"], (await ask("dynamicTsl/get"))["data"]
        assert whole["profile"] == short["profile"] == {"productKey": product_key}
        assert whole["properties"] == [power]
        assert short["properties"] == [{"identifier": "Power", "dataType": {"type": "text"}}]


async def an_automatic_topic_is_delivered_once_though_filters_match_as_well(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    name = f"{identity.product_key}/{identity.device_name}"
    async with await connected(platform, identity) as device:
        filters = (f"/sys/{name}/rrpc/request/+", f"/sys/{name}/#", f"/ext/ntp/{name}/response", f"/ext/ntp/{name}/+")
        assert await device.subscribe(*filters) == (1, 1, 1, 1)
        late = await api.call(
            "RRpc",
            ProductKey=identity.product_key,
            DeviceName=identity.device_name,
            RequestBase64Byte=base64.b64encode(b"once").decode(),
            Timeout=1000,
        )
        assert late["RrpcCode"] == "TIMEOUT"
        device.publish(f"/ext/ntp/{name}/request", b'{"deviceSendTime":"1"}')
        topics = [(await device.receive()).topic for _ in range(2)]
        assert topics[0].startswith(f"/sys/{name}/rrpc/request/")
        assert topics[1] == f"/ext/ntp/{name}/response"
        await asyncio.sleep(0.3)
        assert device.inbox.empty()


async def a_broadcast_reaches_all_online_devices_or_the_subscribers(platform: Platform) -> None:
    api = platform.api()
    product_key = await new_product(api)
    first, second = await new_device(api, product_key), await new_device(api, product_key)
    topic = f"/broadcast/{product_key}/news"
    content = base64.b64encode(b"hello all").decode()
    async with await connected(platform, first) as near, await connected(platform, second) as far:
        sent = await api.ok("PubBroadcast", ProductKey=product_key, MessageContent=content)
        for device in (near, far):
            got = await device.receive()
            own = f"/sys/{product_key}/{device.identity.device_name}/broadcast/request/{sent['MessageId']}"
            assert (got.topic, got.payload, got.qos) == (own, b"hello all", 0)
        with pytest.raises(ApiRefused) as refused:
            await api.call("PubBroadcast", ProductKey=product_key, MessageContent=content)
        assert refused.value.code == "Throttling.Api"
        assert await near.subscribe(topic) == (1,)
        body = {"ProductKey": product_key, "TopicFullName": topic, "MessageContent": content}
        answer = (await api.rest("POST", "/v1/broadcasts", json=body)).json()
        assert (answer["Sent"], answer["NoSubscriber"], answer["Failed"]) == (1, 1, 0)
        assert (await near.receive()).topic == topic
        await asyncio.sleep(0.2)
        assert far.inbox.empty()


FLOWS = (
    a_batch_of_devices_is_registered_and_connects,
    imported_devices_connect_with_the_secrets_they_had,
    a_device_is_told_the_time,
    tags_by_device_and_by_caller,
    a_device_reads_the_thing_model_of_its_product,
    an_automatic_topic_is_delivered_once_though_filters_match_as_well,
    a_broadcast_reaches_all_online_devices_or_the_subscribers,
)
