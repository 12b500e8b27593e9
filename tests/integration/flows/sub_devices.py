"""Sub-devices behind a gateway device: logged in, spoken for over its connection, ended (device-mqtt §10)."""

import dataclasses
import json
import time

from tests.integration.flows.steps import connected, new_device, status, until_status
from tests.integration.flows.things import TSL
from tests.support.gateway_device import GatewayDevice, name, sys
from tests.support.identity import Identity
from tests.support.openapi import OpenApi
from tests.support.platform import Platform

POST = "thing/event/property/post"
SET = "thing/service/property/set"


class Site:
    """A gateway device, connected, and two sensors with a thing model in its topology."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.api: OpenApi = platform.api()

    async def prepare(self) -> "Site":
        gateways = await self.api.ok("CreateProduct", ProductName=f"g_{time.time_ns()}", NodeType=1)
        sensors = await self.api.ok("CreateProduct", ProductName=f"s_{time.time_ns()}", NodeType=0)
        self.gateways, self.sensors = str(gateways["ProductKey"]), str(sensors["ProductKey"])
        await self.api.ok("ImportThingModelTsl", ProductKey=self.sensors, TslStr=json.dumps(TSL))
        await self.api.ok("PublishThingModel", ProductKey=self.sensors)
        self.subs = [await new_device(self.api, self.sensors) for _ in range(2)]
        self.device = await self.gateway()
        assert (await self.device.add(*self.subs))["code"] == 200
        return self

    async def gateway(self) -> GatewayDevice:
        return GatewayDevice(await connected(self.platform, await new_device(self.api, self.gateways)))

    async def until(self, wanted: str, *identities: Identity) -> None:
        for one in identities:
            await until_status(self.api, one, wanted)

    async def thing(self, action: str, identity: Identity) -> None:
        await self.api.ok(action, ProductKey=identity.product_key, DeviceName=identity.device_name)


async def a_sub_device_posts_and_is_switched_over_its_gateways_connection(platform: Platform) -> None:
    site = await Site(platform).prepare()
    device, sub = site.device, site.subs[0]
    assert await status(site.api, sub) == "UNACTIVE"
    assert (await device.login(sub))["code"] == 200
    await site.until("ONLINE", sub)
    answer = await device.ask(sys(sub, POST), {"Temp": 21, "On": 1})
    assert (answer["code"], answer["data"]) == (200, {})
    await site.api.ok(
        "SetDeviceProperty", ProductKey=sub.product_key, DeviceName=sub.device_name, Items=json.dumps({"Temp": 30})
    )
    asked = json.loads((await device.receive(sys(sub, SET))).payload)
    assert asked["params"] == {"Temp": 30}
    assert (await device.logout(sub))["code"] == 200
    await site.until("OFFLINE", sub)
    assert device.quiet()
    await device.device.disconnect()


async def a_batch_logs_in_and_out_and_ends_with_its_gateway(platform: Platform) -> None:
    site = await Site(platform).prepare()
    named = [name(sub) for sub in site.subs]
    for _ in range(2):
        reply = await site.device.batch_login(*site.subs)
        assert (reply["code"], reply["data"]) == (200, named)
    await site.until("ONLINE", *site.subs)
    assert (await site.device.batch_logout(*site.subs))["data"] == named
    await site.until("OFFLINE", *site.subs)
    assert (await site.device.batch_login(*site.subs))["code"] == 200
    await site.until("ONLINE", *site.subs)
    await site.device.device.disconnect()
    await site.until("OFFLINE", *site.subs, site.device.identity)


async def log_ins_are_refused_with_their_codes(platform: Platform) -> None:
    site = await Site(platform).prepare()
    device, (sub, other) = site.device, site.subs
    stranger = await new_device(site.api, site.sensors)
    assert (await device.login(dataclasses.replace(sub, device_secret="wrong")))["code"] == 6287
    assert (await device.login(dataclasses.replace(sub, device_name="nobody")))["code"] == 6100
    assert (await device.login(stranger))["code"] == 6401
    await site.thing("DisableThing", sub)
    assert (await device.login(sub))["code"] == 522
    assert (await device.ask(device.session("login"), {}))["code"] == 460
    reply = await device.batch_login(sub, other)
    assert reply["code"] == 522
    assert [(one["deviceName"], one["code"]) for one in reply["data"]] == [(sub.device_name, 522)]
    await site.until("ONLINE", other)
    assert (await device.logout(stranger))["code"] == 520
    await device.device.disconnect()


async def a_publish_for_a_device_without_a_session_is_told_520(platform: Platform) -> None:
    site = await Site(platform).prepare()
    for sub in (site.subs[0], await new_device(site.api, site.sensors)):
        site.device.device.publish(sys(sub, POST), b'{"id":"1","params":{"Temp":1}}')
        assert await site.device.error(sub) == 520
    assert (await site.device.login(site.subs[0]))["code"] == 200
    assert (await site.device.ask(sys(site.subs[0], POST), {"Temp": 21}))["code"] == 200
    await site.device.device.disconnect()


async def a_sub_device_that_connects_elsewhere_is_told_427(platform: Platform) -> None:
    site = await Site(platform).prepare()
    sub, other = site.subs
    assert (await site.device.batch_login(sub, other))["code"] == 200
    alone = await connected(platform, sub)
    assert await site.device.error(sub) == 427
    await site.until("ONLINE", sub, other)
    assert (await site.device.login(sub))["code"] == 200
    await alone.wait_closed()
    await site.until("ONLINE", sub)
    second = await site.gateway()
    assert (await second.add(sub))["code"] == 200
    assert (await second.login(sub))["code"] == 200
    assert await site.device.error(sub) in (427, 6401)
    assert (await second.ask(sys(sub, POST), {"Temp": 21}))["code"] == 200
    await second.device.disconnect()
    await site.device.device.disconnect()


async def a_disabled_deleted_or_removed_sub_device_is_ended_alone(platform: Platform) -> None:
    site = await Site(platform).prepare()
    device, (sub, other) = site.device, site.subs
    assert (await device.batch_login(sub, other))["code"] == 200
    await site.until("ONLINE", sub, other)
    await site.thing("DisableThing", sub)
    assert await device.error(sub) == 522
    assert await status(site.api, sub) == "DISABLE"
    await site.thing("EnableThing", sub)
    assert (await device.login(sub))["code"] == 200
    await site.until("ONLINE", sub)
    await site.thing("RemoveThingTopo", sub)
    assert await device.error(sub) == 6401
    await site.until("OFFLINE", sub)
    assert (await device.login(sub))["code"] == 6401
    await site.api.ok("DeleteDevice", ProductKey=other.product_key, DeviceName=other.device_name)
    assert await device.error(other) == 521
    assert (await device.ask(sys(device.identity, "thing/topo/get"), {}))["data"] == []
    await device.device.disconnect()


FLOWS = (
    a_sub_device_posts_and_is_switched_over_its_gateways_connection,
    a_batch_logs_in_and_out_and_ends_with_its_gateway,
    log_ins_are_refused_with_their_codes,
    a_publish_for_a_device_without_a_session_is_told_520,
    a_sub_device_that_connects_elsewhere_is_told_427,
    a_disabled_deleted_or_removed_sub_device_is_ended_alone,
)
