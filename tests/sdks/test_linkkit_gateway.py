"""A gateway device on aliyun-iot-linkkit and the sub-devices behind it (device-mqtt §10)."""

import asyncio
import base64
import json
import secrets
from typing import Any

import pytest

from tests.integration.flows.steps import new_device, until_status
from tests.integration.flows.things import TSL, latest
from tests.sdks.driver import LinkKitDevice
from tests.sdks.steps import named, names
from tests.support.identity import Identity
from tests.support.openapi import OpenApi
from tests.support.platform import AllInOne

SUB_DEVICES = 3


def with_secret(identities: list[Identity]) -> list[list[str]]:
    return [[one.product_key, one.device_name, one.device_secret] for one in identities]


def without_secret(identities: list[Identity]) -> list[list[str]]:
    return [[one.product_key, one.device_name] for one in identities]


async def greenhouse(api: OpenApi) -> tuple[Identity, list[Identity]]:
    """A gateway and things that are to stand behind it."""
    made = await api.ok("CreateProduct", ProductName=f"gw {secrets.token_hex(6)}", NodeType=1)
    gateway = await new_device(api, made["ProductKey"])
    key = (await api.ok("CreateProduct", ProductName=f"sub {secrets.token_hex(6)}", NodeType=0))["ProductKey"]
    await api.ok("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps(TSL))
    await api.ok("PublishThingModel", ProductKey=key)
    return gateway, [await new_device(api, key) for _ in range(SUB_DEVICES)]


async def logged_in(kit: LinkKitDevice, subs: list[Identity]) -> None:
    """Added, then logged in by one batch."""
    _, number = await kit.call("gateway_add_subdev_topo", with_secret(subs))
    assert (await kit.event("on_gateway_add_subdev_topo_reply"))[:2] == [number, 200]
    _, number = await kit.call("gateway_login_subdev", with_secret(subs))
    assert (await kit.event("on_gateway_login_subdev_reply"))[:3] == [number, 200, [named(one) for one in subs]]


async def test_the_topology_is_added_listed_and_deleted(all_in_one: AllInOne, api: OpenApi) -> None:
    gateway, subs = await greenhouse(api)
    async with LinkKitDevice(all_in_one, gateway) as kit:
        _, number = await kit.call("gateway_add_subdev_topo", with_secret(subs))
        answer = await kit.event("on_gateway_add_subdev_topo_reply")
        assert answer[:4] == [number, 200, [named(one) for one in subs], "success"]

        asked = f"/sys/{gateway.product_key}/{gateway.device_name}/thing/topo/get"
        await kit.publish(asked, '{"id":"77","version":"1.0","params":{},"method":"thing.topo.get"}')
        topic, payload = await kit.message()
        listed = json.loads(payload)
        assert (topic, listed["id"], listed["code"]) == (f"{asked}_reply", "77", 200)
        assert sorted(row["deviceName"] for row in listed["data"]) == sorted(one.device_name for one in subs)

        _, number = await kit.call("gateway_delete_subdev_topo", without_secret(subs[:1]))
        assert (await kit.event("on_gateway_delete_subdev_topo_reply"))[:2] == [number, 200]
        forged = [[subs[0].product_key, subs[0].device_name, "not its secret"]]
        await kit.call("gateway_add_subdev_topo", forged)
        _, code, _, message, _ = await kit.event("on_gateway_add_subdev_topo_reply")
        assert (code, bool(message)) == (401, True)
        topo = await api.ok("GetThingTopo", **names(gateway), PageNo=1, PageSize=10)
        assert topo["Data"]["Total"] == 2


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_sub_devices_log_in_talk_and_are_told_over_the_gateways_connection(
    all_in_one: AllInOne, api: OpenApi, tls: bool
) -> None:
    gateway, subs = await greenhouse(api)
    one = subs[0]
    prefix = f"/sys/{one.product_key}/{one.device_name}"
    async with LinkKitDevice(all_in_one, gateway, tls=tls) as kit:
        await logged_in(kit, subs)
        for sub in subs:
            await until_status(api, sub, "ONLINE")

        post = {"id": "9", "version": "1.0", "params": {"Temp": 21}, "method": "thing.event.property.post"}
        await kit.publish(f"{prefix}/thing/event/property/post", json.dumps(post))
        _, payload = await kit.message(f"{prefix}/thing/event/property/post_reply")
        assert (json.loads(payload)["id"], json.loads(payload)["code"]) == ("9", 200)
        assert await latest(api, one) == {"Temp": "21"}

        await api.ok("SetDeviceProperty", **names(one), Items='{"Temp":30}')
        _, payload = await kit.message(f"{prefix}/thing/service/property/set")
        assert json.loads(payload)["params"] == {"Temp": 30}

        calling = asyncio.create_task(called(api, one))
        topic, payload = await kit.message()
        await kit.publish(topic.replace("/rrpc/request/", "/rrpc/response/"), payload + "!", 0)
        assert await calling == ("SUCCESS", b"ping!")

        _, number = await kit.call("gateway_logout_subdev", without_secret(subs[:1]))
        assert (await kit.event("on_gateway_logout_subdev_reply"))[:2] == [number, 200]
        await until_status(api, one, "OFFLINE")
        await kit.publish(f"{prefix}/thing/event/property/post", json.dumps(post))
        topic, payload = await kit.message()
        told = json.loads(payload)
        assert (topic, told["code"]) == (f"/ext/error/{gateway.product_key}/{gateway.device_name}", 520)
        assert told["data"] == named(one)
        assert kit.said("on_disconnect") == 0
    for sub in subs:
        await until_status(api, sub, "OFFLINE")


async def called(api: OpenApi, identity: Identity) -> Any:
    ping = base64.b64encode(b"ping").decode()
    answer = await api.ok("RRpc", **names(identity), RequestBase64Byte=ping, Timeout=7000)
    return answer["RrpcCode"], base64.b64decode(answer["PayloadBase64Byte"])


async def test_what_is_wrong_with_a_log_in_is_told_with_its_code(all_in_one: AllInOne, api: OpenApi) -> None:
    gateway, (one, other, stranger) = await greenhouse(api)
    async with LinkKitDevice(all_in_one, gateway) as kit:

        async def refused(secret: list[list[str]]) -> tuple[int, list[dict[str, Any]]]:
            await kit.call("gateway_login_subdev", secret)
            _, code, data, *_ = await kit.event("on_gateway_login_subdev_reply")
            return code, data

        await kit.call("gateway_add_subdev_topo", with_secret([one, other]))
        await kit.event("on_gateway_add_subdev_topo_reply")
        code, data = await refused(with_secret([stranger]))
        assert (code, data[0]["code"], data[0]["deviceName"]) == (6401, 6401, stranger.device_name)
        assert (await refused([[one.product_key, one.device_name, "not its secret"]]))[0] == 6287
        await api.ok("DisableThing", **names(other))
        assert (await refused(with_secret([other])))[0] == 522
        await kit.event("on_gateway_topo_change", lambda args: args[1]["status"] == 8)

        await kit.call("gateway_login_subdev", with_secret([one]))
        assert (await kit.event("on_gateway_login_subdev_reply"))[1] == 200
        await api.ok("DeleteDevice", **names(one))
        changed = (await kit.event("on_gateway_topo_change"))[1]
        assert (changed["status"], changed["subList"]) == (1, [named(one)])
        _, payload = await kit.message(f"/ext/error/{gateway.product_key}/{gateway.device_name}")
        assert json.loads(payload)["code"] in (521, 6401)
