"""CONNECT against the real core, Redis, auth and registry; gmqtt is the device."""

import asyncio
import dataclasses
import json

import pytest

from tests.support.gateways import Hub, MuteDevice, Taps, device_id, refusal
from tests.support.identity import Login
from thinghubpb.gateway.v1 import gateway_pb2 as pb


async def test_a_device_connects_publishes_and_goes(platform: Hub, taps: Taps) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)
    for number in range(20):
        device.publish(identity.topic("update"), f"{number}".encode())
    got = await taps.custom_many(identity, 20)
    assert [one.payload for one in got] == [f"{number}".encode() for number in range(20)]
    assert [one.sequence for one in got] == list(range(1, 21))
    assert len({one.id for one in got}) == 20
    await device.disconnect()
    online, offline = await taps.status(identity, "online", "offline")
    assert online.epoch == offline.epoch == got[0].epoch > 0
    body = json.loads(online.payload)
    assert body["clientIp"] == "127.0.0.1"
    assert body["iotId"]


@pytest.mark.parametrize("method", ["hmacmd5", "hmacsha1", "hmacsha256"])
async def test_every_sign_method_is_accepted(platform: Hub, method: str) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    assert await refusal(identity.login(method), *gateway.mqtt) == 0
    upper = identity.login(method)
    assert await refusal(dataclasses.replace(upper, password=upper.password.upper()), *gateway.mqtt) == 0


async def test_each_refusal_has_its_code(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    good = identity.login()
    wrong = dataclasses.replace(good, password="00" * 32)
    unknown = dataclasses.replace(identity, device_name="nobody").login()
    no_product = dataclasses.replace(identity, product_key="nothing").login()
    assert await refusal(wrong, *gateway.mqtt) == 4
    assert await refusal(unknown, *gateway.mqtt) == 4
    assert await refusal(no_product, *gateway.mqtt) == 4
    assert await refusal(Login("no bars", good.username, good.password), *gateway.mqtt) == 2
    assert await refusal(Login(good.client_id, "nobody", good.password), *gateway.mqtt) == 4


async def test_a_disabled_device_is_ended_and_refused_until_enabled(platform: Hub, taps: Taps) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)
    await platform.enable(identity, False)
    await device.wait_closed(5)
    await taps.status(identity, "online", "offline")
    assert await refusal(identity.login(), *gateway.mqtt) == 5
    await platform.enable(identity, True)
    assert await refusal(identity.login(), *gateway.mqtt) == 0


async def test_a_barred_device_is_refused_though_its_signature_is_right(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    target = pb.KickTarget(device=device_id(identity), bar_seconds=60)
    await gateway.rpc.Kick(pb.KickRequest(targets=[target]))
    assert await refusal(identity.login(), *gateway.mqtt) == 5
    target.bar_seconds = -1
    await gateway.rpc.Kick(pb.KickRequest(targets=[target]))
    assert await refusal(identity.login(), *gateway.mqtt) == 0


async def test_the_second_connection_ends_the_first_and_says_online_once_more(platform: Hub, taps: Taps) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    first = await gateway.connect(identity)
    second = await gateway.connect(identity)
    await first.wait_closed(5)
    second.publish(identity.topic("update"), b"still here")
    assert (await taps.custom_many(identity, 1))[0].payload == b"still here"
    one, two = await taps.status(identity, "online", "online")
    assert two.epoch > one.epoch
    await second.disconnect()
    await taps.status(identity, "online", "online", "offline")


async def test_a_device_moves_between_gateways(platform: Hub, taps: Taps) -> None:
    here, there = await platform.gateway(), await platform.gateway()
    identity = await platform.device(await platform.product())
    first = await here.connect(identity)
    first.publish(identity.topic("update"), b"1")
    await taps.custom_many(identity, 1)
    second = await there.connect(identity)
    await first.wait_closed(5)
    second.publish(identity.topic("update"), b"2")
    assert [one.payload for one in await taps.custom_many(identity, 2)] == [b"1", b"2"]
    await taps.status(identity, "online", "online")
    (session,) = (await here.rpc.GetSessions(pb.GetSessionsRequest(devices=[device_id(identity)]))).sessions
    assert session.online
    assert session.gateway_address.endswith("gateway-1")
    await second.disconnect()
    await taps.status(identity, "online", "online", "offline")


async def test_many_connects_of_one_device_at_once_leave_one_session(platform: Hub) -> None:
    gateways = [await platform.gateway(), await platform.gateway()]
    identity = await platform.device(await platform.product())
    tried = await asyncio.gather(
        *(MuteDevice.connect(identity, *gateways[number % 2].mqtt) for number in range(12)), return_exceptions=True
    )
    standing = [one for one in tried if isinstance(one, MuteDevice)]
    still_open = [not await device.ended(1.5) for device in standing]
    assert sum(still_open) == 1
    for device in standing:
        await device.close()


async def test_authenticated_connects_have_a_rate_and_failures_do_not_use_it_up(platform: Hub) -> None:
    gateway = await platform.gateway(connects_per_minute=2)
    identity = await platform.device(await platform.product())
    wrong = dataclasses.replace(identity.login(), password="00" * 32)
    for _ in range(5):
        assert await refusal(wrong, *gateway.mqtt) == 4
    assert [await refusal(identity.login(), *gateway.mqtt) for _ in range(3)] == [0, 0, 3]


async def test_failures_of_an_address_have_a_rate(platform: Hub) -> None:
    gateway = await platform.gateway(failures_per_minute=2)
    identity = await platform.device(await platform.product())
    wrong = dataclasses.replace(identity.login(), password="00" * 32)
    assert [await refusal(wrong, *gateway.mqtt) for _ in range(3)] == [4, 4, 3]


async def test_an_auth_that_is_away_is_answered_unavailable_within_5_s(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    await platform.stop_service("auth")
    assert await refusal(identity.login(), *gateway.mqtt) == 3
