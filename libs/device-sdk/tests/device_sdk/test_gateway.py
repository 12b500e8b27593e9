"""A gateway and the devices behind it, against the platform in one process, through a path that can be cut."""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.flows.things import TSL, latest
from tests.support.cable import Cable, cable
from tests.support.identity import Identity as Known
from tests.support.openapi import OpenApi
from tests.support.platform import AllInOne
from thinghub.device_sdk import (
    Backoff,
    CannotConnect,
    ConnectedElsewhere,
    ConnectRefused,
    Device,
    Document,
    Endpoint,
    Identity,
    NoSession,
    NotConnected,
    NoTopology,
    Options,
    ReplyError,
    SessionError,
    SubDevice,
    SubDeviceDeleted,
    SubDeviceDisabled,
    SubDeviceName,
    TopologyChange,
)

QUICK = Options(backoff=Backoff(0.05, 0.5), stable=5, connect_deadline=10, attempt_deadline=5, deadline=10)
BAD_SIGNATURE = 6287


@pytest.fixture
async def path(one_process: AllInOne) -> AsyncIterator[Cable]:
    async with cable(one_process.mqtt) as made:
        yield made


@pytest.fixture
async def sensors(api: OpenApi) -> str:
    """A product with the properties Temp, On, Note and a synchronous service Add."""
    add = {
        "identifier": "Add",
        "name": "Add",
        "callType": "sync",
        "inputData": [{"identifier": "a", "name": "a", "dataType": {"type": "int", "specs": {}}}],
        "outputData": [{"identifier": "b", "name": "b", "dataType": {"type": "int", "specs": {}}}],
    }
    key = await product(api, 0)
    await api.ok("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps(TSL | {"services": [add]}))
    await api.ok("PublishThingModel", ProductKey=key)
    return key


@pytest.fixture
async def gateway(api: OpenApi, path: Cable) -> Device:
    return Device(await registered(api, await product(api, 1)), Endpoint("127.0.0.1", path.port), QUICK)


async def product(api: OpenApi, node_type: int) -> str:
    made = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=node_type)
    return str(made["ProductKey"])


async def registered(api: OpenApi, key: str) -> Identity:
    made = (await api.ok("RegisterDevice", ProductKey=key, DeviceName=f"d_{secrets.token_hex(5)}"))["Data"]
    return Identity(key, made["DeviceName"], made["DeviceSecret"])


def named(identity: Identity) -> dict[str, str]:
    return {"ProductKey": identity.product_key, "DeviceName": identity.device_name}


async def behind(gateway: Device, api: OpenApi, key: str, many: int = 1) -> list[SubDevice]:
    """Sub-devices in the topology, not logged in. The gateway is connected."""
    identities = await asyncio.gather(*(registered(api, key) for _ in range(many)))
    made = [gateway.gateway.sub_device(identity) for identity in identities]
    await gateway.gateway.add(made)
    return made


async def send(api: OpenApi, identity: Identity, payload: bytes) -> None:
    content = base64.b64encode(payload).decode()
    await api.ok(
        "Pub",
        ProductKey=identity.product_key,
        TopicFullName=identity.custom("get"),
        MessageContent=content,
        Qos=1,
    )


class Heard(asyncio.Queue[Any]):
    """What a handler got."""

    def __init__(self) -> None:
        super().__init__(10_000)

    async def message(self, _topic: str, payload: bytes) -> None:
        await self.put(payload)

    async def next(self) -> Any:
        return await asyncio.wait_for(self.get(), 15)


async def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_topology_is_added_listed_and_removed(gateway: Device, api: OpenApi, sensors: str) -> None:
    async with gateway:
        assert await gateway.gateway.topology() == []
        subs = await behind(gateway, api, sensors, 60)
        names = {sub.identity.name for sub in subs}
        await gateway.gateway.add(subs)
        assert set(await gateway.gateway.topology()) == names
        await gateway.gateway.remove([subs[0], subs[1].identity.name])
        assert set(await gateway.gateway.topology()) == names - {subs[0].identity.name, subs[1].identity.name}
        with pytest.raises(ReplyError) as raised:
            await gateway.gateway.remove([subs[0]])
        assert raised.value.code == 6401
        forged = gateway.gateway.sub_device(replace(await registered(api, sensors), device_secret="wrong"))
        with pytest.raises(ReplyError) as raised:
            await gateway.gateway.add([forged])
        assert raised.value.code == 401


async def test_a_sub_device_does_what_a_device_does(gateway: Device, api: OpenApi, sensors: str) -> None:
    heard, wished = Heard(), Heard()

    async def add(given: dict[str, Any]) -> dict[str, Any]:
        return {"b": given["a"] + 1}

    async def shout(request: bytes) -> bytes:
        return request.upper()

    async with gateway:
        (sub,) = await behind(gateway, api, sensors)
        await sub.subscribe(sub.topic("get"), heard.message)
        sub.things.on_service("Add", add)
        sub.things.on_property_set(wished.put)
        sub.shadow.on_control(wished.put)
        sub.on_call(shout)
        await sub.login()
        assert sub.connected

        await sub.publish(sub.topic("update"), b"{}")
        await send(api, sub.identity, b"hello")
        assert await heard.next() == b"hello"

        await sub.things.post_properties({"Temp": 20})
        await sub.things.post_event("alarm", {"code": 7})
        who = sub.identity
        assert await latest(api, Known(who.product_key, who.device_name, who.device_secret)) == {"Temp": "20"}
        with pytest.raises(ReplyError):
            await sub.things.post_properties({"Temp": 2000})
        await api.ok("SetDeviceProperty", **named(sub.identity), Items='{"Temp": 30}')
        assert await wished.next() == {"Temp": 30}
        invoked = await api.ok("InvokeThingService", **named(sub.identity), Identifier="Add", Args='{"a": 1}')
        assert json.loads(invoked["Data"]["Result"]) == {"b": 2}

        request = base64.b64encode(b"abc").decode()
        answer = await api.ok("RRpc", **named(sub.identity), RequestBase64Byte=request, Timeout=4000)
        assert base64.b64decode(answer["PayloadBase64Byte"]) == b"ABC"

        await sub.shadow.update({"color": "red"})
        wish = {"method": "update", "state": {"desired": {"color": "green"}}, "version": 2}
        await api.ok("UpdateDeviceShadow", **named(sub.identity), ShadowMessage=json.dumps(wish))
        document = await wished.next()
        assert isinstance(document, Document)
        assert document.desired == {"color": "green"}
        assert await sub.ota.check() is None
        await sub.ota.inform("1.0.0")
        assert abs(await sub.server_time() / 1000 - time.time()) < 60

        await sub.unsubscribe(sub.topic("get"))
        await sub.logout()
        assert not sub.connected
        with pytest.raises(NotConnected):
            await sub.publish(sub.topic("update"), b"{}")


async def test_synchronous_services_and_custom_calls_of_both_kinds_are_answered(
    gateway: Device, api: OpenApi, sensors: str
) -> None:
    async def shout(request: bytes) -> bytes:
        return request.upper()

    async with gateway:
        (sub,) = await behind(gateway, api, sensors)
        await sub.login()
        await sub.on_custom_call(sub.topic("rpc"), shout)
        request = base64.b64encode(b"abc").decode()
        answer = await api.ok(
            "RRpc", **named(sub.identity), RequestBase64Byte=request, Timeout=4000, Topic=sub.topic("rpc")
        )
        assert base64.b64decode(answer["PayloadBase64Byte"]) == b"ABC"


async def test_all_are_logged_in_again_after_a_break_and_what_waited_gets_through(
    gateway: Device, path: Cable, api: OpenApi, sensors: str
) -> None:
    heard = Heard()
    async with gateway:
        subs = await behind(gateway, api, sensors, 120)
        for sub in subs[:10]:
            await sub.subscribe(sub.topic("get"), heard.message)
        assert await gateway.gateway.login(subs, deadline=30) == {}
        for number in range(2):
            path.cut()
            posts = [sub.things.post_properties({"Temp": number}, deadline=30) for sub in subs[:40]]
            await asyncio.gather(*posts)
            await until(lambda: all(sub.connected for sub in subs), 30)
            await asyncio.gather(*(send(api, sub.identity, b"%d" % number) for sub in subs[:10]))
            assert [await heard.next() for _ in range(10)] == [b"%d" % number] * 10
        await gateway.gateway.logout(subs)
        assert not any(sub.connected for sub in subs)
    assert path.connections == 3


async def test_those_of_a_batch_that_are_refused_are_named_and_the_others_are_logged_in(
    gateway: Device, api: OpenApi, sensors: str
) -> None:
    async with gateway:
        good, disabled, forged = await behind(gateway, api, sensors, 3)
        stranger = gateway.gateway.sub_device(await registered(api, sensors))
        await api.ok("DisableThing", **named(disabled.identity))
        await gateway.gateway.forget(forged)
        wrong = gateway.gateway.sub_device(replace(forged.identity, device_secret="wrong"))
        refused = await gateway.gateway.login([good, disabled, wrong, stranger])
        assert {name: type(error) for name, error in refused.items()} == {
            disabled.identity.name: SubDeviceDisabled,
            wrong.identity.name: SessionError,
            stranger.identity.name: NoTopology,
        }
        assert refused[wrong.identity.name].code == BAD_SIGNATURE
        assert good.connected
        with pytest.raises(NoTopology):
            await stranger.publish(stranger.topic("update"), b"")
        with pytest.raises(NoTopology):
            await stranger.login()
        await gateway.gateway.add([stranger])
        await stranger.login()
        await api.ok("EnableThing", **named(disabled.identity))
        await disabled.login()


async def test_the_end_of_a_session_is_told_and_final(
    gateway: Device, api: OpenApi, sensors: str, one_process: AllInOne
) -> None:
    errors, changes, statuses = Heard(), Heard(), list[tuple[str, bool]]()
    gateway.gateway.on_error(errors.put)
    gateway.gateway.on_topology_change(changes.put)
    async with gateway:
        subs = await behind(gateway, api, sensors, 4)
        disabled, deleted, removed, moved = subs
        await gateway.gateway.login(subs)
        elsewhere = Device(
            moved.identity,
            Endpoint(*one_process.mqtt),
            QUICK,
            on_status=lambda up: statuses.append((moved.identity.device_name, up)),
        )
        for sub, end, kind in (
            (disabled, api.ok("DisableThing", **named(disabled.identity)), SubDeviceDisabled),
            (deleted, api.ok("DeleteDevice", **named(deleted.identity)), SubDeviceDeleted),
            (removed, api.ok("RemoveThingTopo", **named(removed.identity)), NoTopology),
            (moved, elsewhere.__aenter__(), ConnectedElsewhere),
        ):
            await end
            error = await errors.next()
            assert (type(error), error.device) == (kind, sub.identity.name)
            assert not sub.connected
            with pytest.raises(kind):
                await sub.publish(sub.topic("update"), b"")
        assert statuses == [(moved.identity.device_name, True)]
        await elsewhere.__aexit__(None, None, None)
        told = [await changes.next() for _ in range(3)]
        assert {(change.status, change.devices) for change in told} >= {
            (8, (disabled.identity.name,)),
            (1, (removed.identity.name,)),
        }
        assert all(isinstance(change, TopologyChange) for change in told)
        await moved.login()
        await moved.things.post_properties({"Temp": 1})


async def test_a_session_that_is_missing_is_made_again(gateway: Device, api: OpenApi, sensors: str) -> None:
    errors = Heard()
    gateway.gateway.on_error(errors.put)
    async with gateway:
        (sub,) = await behind(gateway, api, sensors)
        await sub.login()
        for _ in range(2):
            topic = gateway.identity.own("/ext/session") + "/combine/logout"
            params = {"productKey": sub.identity.product_key, "deviceName": sub.identity.device_name}
            await gateway.publish(topic, json.dumps({"id": "1", "version": "1.0", "params": params}).encode())
            while errors.empty():
                await sub.publish(sub.topic("update"), b"lost if it has no session")
                await asyncio.sleep(0.1)
            assert isinstance(await errors.next(), NoSession)
            await sub.wait_connected()
            await sub.things.post_properties({"Temp": 1})
            while not errors.empty():
                errors.get_nowait()


async def test_a_server_asks_for_devices_to_be_added(gateway: Device, api: OpenApi, sensors: str) -> None:
    asked = Heard()
    gateway.gateway.on_add_requested(asked.put)
    async with gateway:
        new = await registered(api, sensors)
        await api.ok(
            "NotifyAddThingTopo",
            GwProductKey=gateway.identity.product_key,
            GwDeviceName=gateway.identity.device_name,
            DeviceListStr=json.dumps([{"productKey": new.product_key, "deviceName": new.device_name}]),
        )
        assert await asked.next() == [SubDeviceName(new.product_key, new.device_name)]


async def test_a_slow_handler_of_one_does_not_hold_up_another(gateway: Device, api: OpenApi, sensors: str) -> None:
    finish, heard = asyncio.Event(), Heard()

    async def slow(_topic: str, _payload: bytes) -> None:
        await finish.wait()

    async with gateway:
        one, other = await behind(gateway, api, sensors, 2)
        await one.subscribe(one.topic("get"), slow)
        await other.subscribe(other.topic("get"), heard.message)
        await gateway.gateway.login([one, other])
        sending = asyncio.create_task(send(api, one.identity, b"1"))
        await send(api, other.identity, b"2")
        assert await heard.next() == b"2"
        finish.set()
        await sending


async def test_a_login_without_an_answer_ends_in_time_and_goes_on_being_tried(
    gateway: Device, path: Cable, api: OpenApi, sensors: str
) -> None:
    async with gateway:
        (sub,) = await behind(gateway, api, sensors)
        path.hold_answers()
        with pytest.raises(CannotConnect):
            await sub.login(deadline=0.3)
        path.release_answers()
        await sub.wait_connected(10)


async def test_what_ends_the_gateway_ends_what_is_behind_it(gateway: Device, api: OpenApi, sensors: str) -> None:
    async with gateway:
        (sub,) = await behind(gateway, api, sensors)
        await sub.login()
        await api.ok("DisableThing", **named(gateway.identity))
        await until(lambda: not sub.connected)
        with pytest.raises(ConnectRefused):
            await sub.publish(sub.topic("update"), b"", deadline=10)
        with pytest.raises(ConnectRefused):
            await sub.login()


async def test_one_device_is_known_once(gateway: Device, api: OpenApi, sensors: str) -> None:
    identity = await registered(api, sensors)
    sub = gateway.gateway.sub_device(identity)
    with pytest.raises(ValueError, match="known already"):
        gateway.gateway.sub_device(identity)
    with pytest.raises(ValueError, match="known already"):
        gateway.gateway.sub_device(gateway.identity)
    async with gateway:
        await gateway.gateway.forget(sub)
        gateway.gateway.sub_device(identity)
