"""A device on aliyun-iot-linkkit: things, shadow, tags, time, custom topics and calls (device-mqtt §4, 5, 8, 9, 11)."""

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.flows import thing_services
from tests.integration.flows.steps import eventually, new_device, new_product, pub, running_rule
from tests.integration.flows.things import TSL, latest, modelled
from tests.sdks.driver import LinkKitDevice
from tests.sdks.steps import names
from tests.support.openapi import OpenApi
from tests.support.platform import AllInOne


@pytest.fixture
def tsl(tmp_path: Path) -> str:
    """The thing model as the SDK wants it: a file."""
    return saved(TSL, tmp_path)


def saved(tsl: dict[str, Any], folder: Path) -> str:
    file = folder / "tsl.json"
    file.write_text(json.dumps(tsl))
    return str(file)


def content(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_thing_posts_properties_and_events_and_is_set(
    all_in_one: AllInOne, api: OpenApi, tsl: str, tls: bool
) -> None:
    identity = await modelled(api)
    async with LinkKitDevice(all_in_one, identity, tls=tls, tsl=tsl) as device:
        assert (await device.call("thing_post_property", {"Temp": 20, "Note": "warm"})) == [0, "1"]
        assert (await device.event("on_thing_prop_post"))[:4] == ["1", 200, {}, "success"]
        await device.call("thing_post_property", {"Temp": {"value": 21, "time": int(time.time() * 1000)}})
        assert (await device.event("on_thing_prop_post"))[:2] == ["2", 200]
        assert await latest(api, identity) == {"Temp": "21", "Note": "warm"}
        await device.call("thing_post_property", {"Temp": "hot"})
        number, code, data, message, _ = await device.event("on_thing_prop_post")
        assert (number, code, data) == ("3", 6306, {})
        assert message
        assert (await device.call("thing_trigger_event", ["alarm", {"code": 3}])) == [0, "4"]
        assert (await device.event("on_thing_event_post"))[:4] == ["alarm", "4", 200, {}]
        await api.ok("SetDeviceProperty", **names(identity), Items=json.dumps({"Temp": 30}))
        assert (await device.event("on_thing_prop_changed"))[0] == {"Temp": 30}
        assert device.said("on_topic_message") == 0
        assert device.said("on_disconnect") == 0


async def test_services_are_called_with_and_without_waiting(all_in_one: AllInOne, api: OpenApi, tmp_path: Path) -> None:
    identity = await thing_services.serving(api)
    invoke: dict[str, Any] = {**names(identity), "Identifier": "sum", "Args": '{"a":1,"b":2}'}
    async with LinkKitDevice(all_in_one, identity, tls=True, tsl=saved(thing_services.TSL, tmp_path)) as device:
        calling = asyncio.create_task(api.ok("InvokeThingService", **invoke))
        service, number, args, _ = await device.event("on_thing_call_service")
        assert (service, args) == ("sum", {"a": 1, "b": 2})
        assert await device.call("thing_answer_service", service, number, 200, {"res": 3}) == 0
        assert json.loads((await calling)["Data"]["Result"]) == {"res": 3}

        sent = await api.ok("InvokeThingService", **invoke | {"Identifier": "reboot", "Args": '{"delay":5}'})
        service, number, args, _ = await device.event("on_thing_call_service")
        assert (service, number, args) == ("reboot", sent["Data"]["MessageId"], {"delay": 5})
        await device.call("thing_answer_service", service, number, 200, {"res": 1})
        calls = await thing_services.answered(api, identity, 2)
        assert [json.loads(row["OutputData"]) for row in calls] == [{"res": 3}, {"res": 1}]


async def test_a_shadow_is_reported_read_and_controlled(all_in_one: AllInOne, api: OpenApi) -> None:
    identity = await new_device(api, await new_product(api))
    async with LinkKitDevice(all_in_one, identity) as device:
        await device.call("thing_update_shadow", {"color": "red"}, 1)
        told = (await device.event("on_thing_shadow_get"))[0]
        assert (told["method"], told["payload"]["status"], told["payload"]["version"]) == ("reply", "success", 1)
        await device.call("thing_update_shadow", {"color": "blue"}, 1)
        told = (await device.event("on_thing_shadow_get"))[0]
        assert told["payload"]["content"]["errorcode"] == "409"
        desire = {"method": "update", "state": {"desired": {"color": "green"}}, "version": 2}
        await api.ok("UpdateDeviceShadow", **names(identity), ShadowMessage=json.dumps(desire))
        told = (await device.event("on_thing_shadow_get"))[0]
        assert (told["method"], told["payload"]["state"]["desired"]) == ("control", {"color": "green"})
        await device.call("thing_get_shadow")
        await device.event("on_thing_shadow_get")
        kept = await device.call("local_get_latest_shadow")
        assert kept["state"] == {"reported": {"color": "red"}, "desired": {"color": "green"}}
        assert kept["version"] == 2
        assert kept["metadata"]["desired"]["color"]["timestamp"] > 0


async def test_custom_topics_go_both_ways(all_in_one: AllInOne, api: OpenApi) -> None:
    identity = await new_device(api, await new_product(api))
    back = json.dumps({"topic": identity.topic("get"), "topicType": 1})
    await running_rule(api, identity.product_key, "v", "REPUBLISH", back, short=f"{identity.device_name}/user/update")
    async with LinkKitDevice(all_in_one, identity, tls=True) as device:
        await device.call("subscribe_topic", identity.topic("get"))
        assert (await device.event("on_subscribe_topic"))[1] == [1]
        await pub(api, identity, "get", b"down")
        assert await device.message() == (identity.topic("get"), "down")
        await device.publish(identity.topic("update"), '{"v":7}')
        topic, payload = await device.message()
        assert (topic, json.loads(payload)) == (identity.topic("get"), {"v": 7})


async def test_a_call_is_answered_on_the_system_topic_and_on_one_of_its_own(all_in_one: AllInOne, api: OpenApi) -> None:
    identity = await new_device(api, await new_product(api))

    async def called(text: str, **more: str) -> Any:
        answer = await api.ok("RRpc", **names(identity), RequestBase64Byte=content(text), Timeout=7000, **more)
        return answer["RrpcCode"], base64.b64decode(answer["PayloadBase64Byte"])

    async with LinkKitDevice(all_in_one, identity) as device:
        calling = asyncio.create_task(called("ping"))
        topic, payload = await device.message()
        assert payload == "ping"
        await device.publish(topic.replace("/rrpc/request/", "/rrpc/response/"), "pong", 0)
        assert await calling == ("SUCCESS", b"pong")

        own = identity.topic("call")
        await device.call("subscribe_rrpc_topic", own)
        await device.call("subscribe_topic", identity.topic("get"))  # the SDK tells only of these; answers keep order
        await device.event("on_subscribe_topic")
        calling = asyncio.create_task(called("ping", Topic=own))
        number, topic, payload, *_ = await device.event("on_topic_rrpc_message")
        assert (topic, payload) == (f"/ext/rrpc/{number}{own}", "ping")
        await device.call("thing_answer_rrpc", number, "custom")
        assert await calling == ("SUCCESS", b"custom")


async def test_a_device_sets_its_tags_and_asks_the_time(all_in_one: AllInOne, api: OpenApi) -> None:
    identity = await new_device(api, await new_product(api))
    async with LinkKitDevice(all_in_one, identity) as device:
        _, number = await device.call("thing_update_tags", {"serial": "17", "room": "hall"})
        assert (await device.event("on_thing_device_info_update"))[:4] == [number, 200, {}, "success"]
        _, number = await device.call("thing_remove_tags", ["room"])
        assert (await device.event("on_thing_device_info_delete"))[:2] == [number, 200]
        assert json.loads((await api.ok("QueryDeviceProp", **names(identity)))["Props"]) == {"serial": "17"}

        clock = f"/ext/ntp/{identity.product_key}/{identity.device_name}"
        await device.publish(f"{clock}/request", '{"deviceSendTime":"1571724098000"}', 0)
        topic, payload = await device.message()
        assert topic == f"{clock}/response"
        assert abs(int(json.loads(payload)["serverSendTime"]) - time.time() * 1000) < 60_000


async def test_a_device_that_was_disabled_comes_back_when_it_is_enabled(all_in_one: AllInOne, api: OpenApi) -> None:
    identity = await new_device(api, await new_product(api))
    async with LinkKitDevice(all_in_one, identity) as device:
        await api.ok("DisableThing", **names(identity))
        await device.event("on_disconnect")
        await api.ok("EnableThing", **names(identity))
        await device.event("on_connect", deadline=30)

        async def online() -> bool:
            answer = await api.ok("GetDeviceStatus", **names(identity))
            return bool(answer["Data"]["Status"] == "ONLINE")

        assert await eventually(online)


async def test_a_device_may_speak_mqtt_3_1(all_in_one: AllInOne, api: OpenApi) -> None:
    identity = await new_device(api, await new_product(api))
    async with LinkKitDevice(all_in_one, identity, protocol="MQTTv31") as device:
        await device.call("subscribe_topic", identity.topic("get"))
        assert (await device.event("on_subscribe_topic"))[1] == [1]
        await pub(api, identity, "get", b"down")
        assert (await device.message())[1] == "down"
