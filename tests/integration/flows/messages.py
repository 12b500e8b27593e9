"""Messages up through a rule to a row, and down through Pub and RRpc to a device."""

import asyncio
import base64
import json
from typing import Any

from tests.integration.flows.steps import (
    Sink,
    connected,
    eventually,
    new_device,
    new_product,
    pub,
    running_rule,
    until_status,
)
from tests.support.device import Device
from tests.support.openapi import OpenApi
from tests.support.platform import Platform


async def publish_rule_row(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    sink = await Sink(platform, "device text, temperature double precision, note text").create(api)
    columns = {"device": "${device}", "temperature": "${t}", "note": "${note}"}
    await running_rule(
        api,
        identity.product_key,
        "deviceName() AS device, body.temperature + 1 AS t, concat('at ', body.place) AS note",
        "RDS",
        json.dumps(sink.action(columns)),
        where="body.temperature > 20",
    )
    async with await connected(platform, identity) as device:
        for payload in (
            {"body": {"temperature": 21.5, "place": "roof"}},
            {"body": {"temperature": 3, "place": "cellar"}},
        ):
            device.publish(identity.topic("update"), json.dumps(payload).encode())
        device.publish(identity.topic("update"), b"not json")
        device.publish(identity.topic("update"), b'{"body":{"temperature":30,"place":"end"}}')

        async def both() -> bool:
            return len(await sink.rows()) >= 2

        assert await eventually(both)
    rows = sorted(await sink.rows(), key=lambda row: row["temperature"])
    assert [(r["device"], r["temperature"], r["note"]) for r in rows] == [
        (identity.device_name, 22.5, "at roof"),
        (identity.device_name, 31.0, "at end"),
    ]
    assert all(row["message_id"] > 0 for row in rows)


async def status_rule_row(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    sink = await Sink(platform, "device text, status text").create(api)
    configuration = json.dumps(sink.action({"device": "${deviceName}", "status": "${status}"}))
    await running_rule(api, identity.product_key, "deviceName, status", "RDS", configuration, short="+", topic_type=2)
    async with await connected(platform, identity):
        await until_status(api, identity, "ONLINE")

    async def both() -> bool:
        return {row["status"] for row in await sink.rows()} == {"online", "offline"}

    assert await eventually(both), await sink.rows()


async def republish_rule_reaches_another_device_and_other_rules(platform: Platform) -> None:
    api = platform.api()
    product_key = await new_product(api)
    source, target = await new_device(api, product_key), await new_device(api, product_key)
    sink = await Sink(platform, "topic text, v integer").create(api)
    columns = {"topic": "${topic}", "v": "${v}"}
    action = json.dumps(sink.action(columns))
    await running_rule(api, product_key, "topic() AS topic, v", "RDS", action, short=f"{target.device_name}/user/get")
    forward = json.dumps({"topic": target.topic("get"), "topicType": 1})
    await running_rule(api, product_key, "v", "REPUBLISH", forward, short=f"{source.device_name}/user/update")
    async with await connected(platform, source) as sender, await connected(platform, target) as receiver:
        assert await receiver.subscribe(target.topic("get")) == (1,)
        sender.publish(source.topic("update"), b'{"v": 7, "dropped": true}')
        inbound = await receiver.receive(20)
        assert (inbound.topic, json.loads(inbound.payload)) == (target.topic("get"), {"v": 7})

        async def stored() -> list[dict[str, Any]]:
            return await sink.rows()

        rows = await eventually(stored)
        assert [(row["topic"], row["v"]) for row in rows] == [(target.topic("get"), 7)]


async def pub_reaches_the_device(platform: Platform) -> None:
    for face in ("acs3", "v1"):
        api = platform.api(face)
        identity = await new_device(api, await new_product(api))
        assert int((await pub(api, identity, "get", b"nobody there"))["MessageId"]) > 0
        async with await connected(platform, identity) as device:
            assert await device.subscribe(identity.topic("get")) == (1,)
            for qos in (0, 1):
                answer = await pub(api, identity, "get", b"hello \x00\xff", qos)
                assert answer["Success"] is True
                assert int(answer["MessageId"]) > 0
                inbound = await device.receive()
                assert (inbound.topic, inbound.payload, inbound.qos) == (identity.topic("get"), b"hello \x00\xff", qos)


async def rrpc(api: OpenApi, device: Device, payload: bytes, timeout: int = 4000, **more: Any) -> dict[str, Any]:
    return await api.call(
        "RRpc",
        ProductKey=device.identity.product_key,
        DeviceName=device.identity.device_name,
        RequestBase64Byte=base64.b64encode(payload).decode(),
        Timeout=timeout,
        **more,
    )


async def rrpc_answered_timed_out_offline(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    async with await connected(platform, identity) as device:

        async def answer() -> None:
            request = await device.receive()
            assert request.payload == b"ping"
            device.publish(request.topic.replace("/rrpc/request/", "/rrpc/response/"), b"pong", qos=0)

        answering = asyncio.create_task(answer())
        done = await rrpc(api, device, b"ping")
        await answering
        assert done["RrpcCode"] == "SUCCESS"
        assert base64.b64decode(done["PayloadBase64Byte"]) == b"pong"
        assert done["MessageId"] > 0
        late = await rrpc(api, device, b"no answer", timeout=1000)
        assert late["RrpcCode"] == "TIMEOUT"
    await until_status(api, identity, "OFFLINE")
    away = await rrpc(api, device, b"nobody", timeout=1000)
    assert away["RrpcCode"] == "OFFLINE"


async def custom_rrpc_answers_on_the_same_topic(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    async with await connected(platform, identity, ext=1) as device:
        topic = f"/{identity.product_key}/{identity.device_name}/user/rpc"
        assert await device.subscribe(f"/ext/rrpc/+{topic}") == (1,)

        async def answer() -> None:
            request = await device.receive()
            assert request.topic.startswith("/ext/rrpc/")
            assert request.topic.endswith(topic)
            device.publish(request.topic, b"custom", qos=0)

        answering = asyncio.create_task(answer())
        done = await rrpc(api, device, b"ping", Topic=topic)
        await answering
        assert (done["RrpcCode"], base64.b64decode(done["PayloadBase64Byte"])) == ("SUCCESS", b"custom")


async def foreign_topics_are_closed_in_both_directions(platform: Platform) -> None:
    api = platform.api()
    product_key = await new_product(api)
    mine, other = await new_device(api, product_key), await new_device(api, product_key)
    sink = await Sink(platform, "device text, v integer").create(api)
    action = json.dumps(sink.action({"device": "${device}", "v": "${v}"}))
    await running_rule(api, product_key, "deviceName() AS device, v", "RDS", action)
    async with await connected(platform, mine) as device, await connected(platform, other) as victim:
        granted = await device.subscribe(mine.topic("get"), other.topic("get"), f"/{product_key}/+/user/get", "#")
        assert granted == (1, 128, 128, 128)
        assert await victim.subscribe(other.topic("get")) == (1,)
        device.publish(other.topic("update"), b'{"v": 666}')
        device.publish(other.topic("get"), b"forged")
        device.publish(f"/sys/{product_key}/{other.device_name}/rrpc/response/1", b"forged")
        device.publish(mine.topic("get"), b'{"v": 667}')
        await pub(api, other, "get", b"for the other alone")
        inbound = await victim.receive()
        assert inbound.payload == b"for the other alone"
        device.publish(mine.topic("update"), b'{"v": 1}')

        async def stored() -> list[dict[str, Any]]:
            return await sink.rows()

        await eventually(stored)
        # All that it hears is that it has no session of that device (device-mqtt §10).
        while not device.inbox.empty():
            notice = await device.receive()
            assert notice.topic == f"/ext/error/{product_key}/{mine.device_name}"
            assert json.loads(notice.payload)["code"] == 520
        assert not device.closed.is_set()
    assert [(row["device"], row["v"]) for row in await sink.rows()] == [(mine.device_name, 1)]
