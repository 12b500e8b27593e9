"""Shadow documents, driven as a device and through the signed API (device-mqtt §5, open-api §4)."""

import asyncio
import json
import time
from typing import Any

from tests.integration.flows.steps import connected, new_device, new_product
from tests.support.device import Device
from tests.support.identity import Identity
from tests.support.openapi import OpenApi
from tests.support.platform import Platform


async def a_shadow_is_reported_read_and_refused_with_every_code(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    async with await connected(platform, identity) as device:
        before = int(time.time())
        reply = await asked(device, identity, update({"color": "red"}, 1))
        assert reply["payload"] == {"status": "success", "version": 1}
        assert before - 5 <= reply["timestamp"] <= time.time() + 5
        whole = await asked(device, identity, {"method": "get"})
        assert whole["payload"]["state"] == {"reported": {"color": "red"}, "desired": {}}
        assert whole["payload"]["metadata"]["reported"]["color"]["timestamp"] >= before - 5
        assert (whole["method"], whole["version"]) == ("reply", 1)
        wrong: list[tuple[object, str]] = [
            (b"{", "400"),
            (update({"a": "x" * 16_400}, 2), "400"),
            (b"[" * 1000 + b"]" * 1000, "400"),
            ({"state": {"reported": {"a": 1}}, "version": 2}, "401"),
            ({"method": "update", "version": 2}, "402"),
            (update({"a": 1}, "two"), "403"),
            ({"method": "update", "state": {}, "version": 2}, "404"),
            (update({}, 2), "405"),
            ({"method": "destroy", "state": {}, "version": 2}, "406"),
            (b"", "407"),
            (update({f"a{n}": n for n in range(129)}, 2), "408"),
            (update({"color": "blue"}, 1), "409"),
        ]
        for message, code in wrong:
            reply = await asked(device, identity, message)
            assert reply["payload"]["content"]["errorcode"] == code, (message, reply)
            await asyncio.sleep(0.06)  # 20 requests a second are a device's share
        assert (await shown(api, identity))["payload"]["state"]["reported"] == {"color": "red"}


async def a_shadow_forgets_what_is_deleted_and_all_at_a_reset(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    async with await connected(platform, identity) as device:
        await asked(device, identity, update({"color": "red", "on": True, "spot": {"x": 1}}, 3))
        await asked(device, identity, {"method": "delete", "state": {"reported": {"color": "null"}}, "version": 4})
        assert (await shown(api, identity))["payload"]["state"]["reported"] == {"on": True, "spot": {"x": 1}}
        await asked(device, identity, {"method": "delete", "state": {"reported": None}, "version": 5})
        assert (await shown(api, identity))["payload"]["state"]["reported"] == {}
        reply = await asked(device, identity, update({"fresh": 1}, -1))
        assert reply["payload"] == {"status": "success", "version": 0}
        assert (await shown(api, identity))["payload"]["state"]["reported"] == {"fresh": 1}


async def what_is_desired_reaches_a_device_that_is_online_and_one_that_comes(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    names = {"ProductKey": identity.product_key, "DeviceName": identity.device_name}
    await api.ok("UpdateDeviceShadow", **names, ShadowMessage=desire({"color": "green"}, 1), DeltaUpdate=True)
    async with await connected(platform, identity) as device:
        late = json.loads((await device.receive()).payload)
        assert (late["method"], late["version"]) == ("control", 1)
        assert late["payload"]["state"] == {"reported": {}, "desired": {"color": "green"}}
        await api.ok("UpdateDeviceShadow", **names, ShadowMessage=desire({"on": True}, 2), DeltaUpdate=True)
        received = await device.receive()
        assert (received.topic, received.qos) == (topic("get", identity), 1)
        at_once = json.loads(received.payload)
        assert at_once["payload"]["state"]["desired"] == {"color": "green", "on": True}
        assert set(at_once["payload"]["metadata"]["desired"]) == {"color", "on"}
        done = {"method": "update", "state": {"reported": {"color": "green"}, "desired": "null"}, "version": 3}
        assert (await asked(device, identity, done))["payload"]["status"] == "success"
        answer = await api.call("UpdateDeviceShadow", **names, ShadowMessage=desire({"on": False}, 3))
        assert answer["Code"] == "iot.messagebroker.UpdateDeviceShadowMessageFailed"
    assert (await shown(api, identity))["payload"]["state"] == {"reported": {"color": "green"}, "desired": {}}
    async with await connected(platform, identity) as device:
        assert (await asked(device, identity, {"method": "get"}))["version"] == 3


async def a_deleted_devices_shadow_is_not_the_next_ones(platform: Platform) -> None:
    api = platform.api()
    product_key = await new_product(api)
    identity = await new_device(api, product_key, "phoenix")
    async with await connected(platform, identity) as device:
        await asked(device, identity, update({"color": "red"}, 5))
    await api.ok("DeleteDevice", ProductKey=product_key, DeviceName="phoenix")
    again = await new_device(api, product_key, "phoenix")
    async with asyncio.timeout(15):
        while (await shown(api, again))["version"]:
            await asyncio.sleep(0.1)
    async with await connected(platform, again) as device:
        assert (await asked(device, again, update({"color": "blue"}, 1)))["payload"]["status"] == "success"


FLOWS = (
    a_shadow_is_reported_read_and_refused_with_every_code,
    a_shadow_forgets_what_is_deleted_and_all_at_a_reset,
    what_is_desired_reaches_a_device_that_is_online_and_one_that_comes,
    a_deleted_devices_shadow_is_not_the_next_ones,
)


def topic(what: str, identity: Identity) -> str:
    return f"/shadow/{what}/{identity.product_key}/{identity.device_name}"


def update(reported: object, version: object) -> dict[str, object]:
    return {"method": "update", "state": {"reported": reported}, "version": version}


def desire(desired: object, version: int) -> str:
    return json.dumps({"method": "update", "state": {"desired": desired}, "version": version})


async def asked(device: Device, identity: Identity, message: object) -> dict[str, Any]:
    """The reply, which comes without any SUBSCRIBE."""
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    device.publish(topic("update", identity), payload)
    received = await device.receive()
    assert (received.topic, received.qos) == (topic("get", identity), 1)
    reply: dict[str, Any] = json.loads(received.payload)
    return reply


async def shown(api: OpenApi, identity: Identity) -> dict[str, Any]:
    answer = await api.ok("GetDeviceShadow", ProductKey=identity.product_key, DeviceName=identity.device_name)
    document: dict[str, Any] = json.loads(answer["ShadowMessage"])
    return document
