"""Sessions that outlive their connection: what a device missed comes in order; callers hear what becomes of it."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

from tests.integration.flows.steps import connected, eventually, new_device, new_product, pub, until_status
from tests.support.device import Device, Inbound
from tests.support.identity import Identity
from tests.support.openapi import ApiRefused, OpenApi
from tests.support.platform import Platform

MANY = 50


async def subscribed_and_away(platform: Platform, api: OpenApi) -> Identity:
    """A device that subscribed in a persistent session and went away."""
    identity = await new_device(api, await new_product(api))
    device = await connected(platform, identity, clean=False)
    assert not device.session_present
    assert await device.subscribe(identity.topic("get")) == (1,)
    await device.disconnect()
    await until_status(api, identity, "OFFLINE")
    return identity


async def told(api: OpenApi, identity: Identity, payload: bytes, **more: Any) -> str:
    """What the REST face says became of a message."""
    body = {
        "ProductKey": identity.product_key,
        "TopicFullName": identity.topic("get"),
        "MessageContent": base64.b64encode(payload).decode(),
        "Qos": 1,
        "WaitMs": 0,
        **more,
    }
    response = await api.rest("POST", "/v1/messages", json=body)
    answer = response.json()
    assert int(answer["MessageId"]) > 0, answer
    return str(answer["Outcome"])


async def sent(platform: Platform, identity: Identity, numbers: range) -> list[str]:
    """Outcomes of numbered messages."""
    api = platform.api()
    return [await told(api, identity, b"%d" % number) for number in numbers]


async def lost_gateway(platform: Platform, identity: Identity) -> None:
    """The gateway went away and is back, and the API has found it."""
    await platform.lose_gateway()
    api = platform.api()

    async def found() -> bool:
        named = {"ProductKey": identity.product_key, "DeviceName": identity.device_name}
        try:
            return bool((await api.call("GetDeviceStatus", **named))["Success"])
        except ApiRefused:  # a part of the platform is away
            return False

    assert await eventually(found)


async def received(device: Device, many: int) -> list[Inbound]:
    return [await device.receive(20) for _ in range(many)]


async def a_device_that_was_away_gets_what_it_missed_in_order_once(platform: Platform) -> None:
    api = platform.api()
    identity = await subscribed_and_away(platform, api)
    assert await sent(platform, identity, range(MANY)) == ["queued"] * MANY
    assert (await pub(api, identity, "get", b"rpc face"))["Success"] is True
    async with await connected(platform, identity, clean=False) as device:
        assert device.session_present
        got = await received(device, MANY + 1)
        assert [one.payload for one in got] == [b"%d" % number for number in range(MANY)] + [b"rpc face"]
        assert not any(one.dup for one in got)
        assert await told(api, identity, b"online", WaitMs=5000) == "delivered"
        assert (await device.receive()).payload == b"online"
    async with await connected(platform, identity, clean=False) as device:
        assert device.session_present
        await asyncio.sleep(0.5)
        assert device.inbox.empty()


async def nothing_is_lost_with_a_gateway(platform: Platform) -> None:
    identity = await subscribed_and_away(platform, platform.api())
    assert set(await sent(platform, identity, range(10))) == {"queued"}
    await lost_gateway(platform, identity)
    assert set(await sent(platform, identity, range(10, 20))) == {"queued"}
    device = await connected(platform, identity, clean=False)
    assert device.session_present
    assert [one.payload for one in await received(device, 20)] == [b"%d" % number for number in range(20)]
    await sent(platform, identity, range(20, 40))
    await lost_gateway(platform, identity)
    await device.wait_closed()
    before = [device.inbox.get_nowait() for _ in range(device.inbox.qsize())]
    back = await connected(platform, identity, clean=False)
    assert await sent(platform, identity, range(40, 41)) in (["queued"], ["delivered"])
    after = [await back.receive(20)]
    while after[-1].payload != b"40":
        after.append(await back.receive(20))
    await back.disconnect()
    known = [one.payload for one in before]
    assert all(one.dup for one in after if one.payload in known)
    fresh = [int(one.payload) for one in before] + [int(one.payload) for one in after if one.payload not in known]
    assert fresh == list(range(20, 41))


async def a_clean_session_wipes_what_was_kept(platform: Platform) -> None:
    api = platform.api()
    identity = await subscribed_and_away(platform, api)
    assert await sent(platform, identity, range(3)) == ["queued"] * 3
    async with await connected(platform, identity) as device:
        assert not device.session_present
        assert await sent(platform, identity, range(1)) == ["no_subscriber"]
    await until_status(api, identity, "OFFLINE")
    assert await sent(platform, identity, range(1)) == ["offline"]
    async with await connected(platform, identity, clean=False) as device:
        assert not device.session_present
        await asyncio.sleep(0.5)
        assert device.inbox.empty()


async def what_is_too_old_is_not_delivered(platform: Platform) -> None:
    identity = await subscribed_and_away(platform, platform.api())
    assert await told(platform.api(), identity, b"old", MessageExpiryInterval=1) == "queued"
    assert await sent(platform, identity, range(1)) == ["queued"]
    await asyncio.sleep(1.2)
    async with await connected(platform, identity, clean=False) as device:
        assert (await device.receive()).payload == b"0"
        await asyncio.sleep(0.3)
        assert device.inbox.empty()


async def only_what_was_subscribed_waits_and_a_stopped_topic_stays_so(platform: Platform) -> None:
    api = platform.api()
    identity = await subscribed_and_away(platform, api)
    rrpc = f"/sys/{identity.product_key}/{identity.device_name}/rrpc/request/+"
    async with await connected(platform, identity, clean=False) as device:
        await device.unsubscribe(identity.topic("get"), rrpc)
    await until_status(api, identity, "OFFLINE")
    assert await sent(platform, identity, range(1)) == ["no_subscriber"]
    named = {"ProductKey": identity.product_key, "DeviceName": identity.device_name}
    async with await connected(platform, identity, clean=False) as device:
        answer = await api.call("RRpc", **named, RequestBase64Byte="cGluZw==", Timeout=1000)
        assert answer["RrpcCode"] == "TIMEOUT"
        assert device.inbox.empty()


async def a_full_queue_gives_up_its_oldest_and_says_so(platform: Platform) -> None:
    identity = await subscribed_and_away(platform, platform.api())
    large = 60 * 1024
    api = platform.api()
    outcomes: list[str] = []
    while "displaced" not in outcomes and len(outcomes) < 200:
        payload = b"%d " % len(outcomes) + b"x" * large
        outcomes.append(await told(api, identity, payload))
    assert set(outcomes[:-1]) == {"queued"}
    assert outcomes[-1] == "displaced"
    async with await connected(platform, identity, clean=False) as device:
        got = await received(device, len(outcomes) - 1)
        assert [int(one.payload.split()[0]) for one in got] == list(range(1, len(outcomes)))


FLOWS: tuple[Callable[[Platform], Awaitable[None]], ...] = (
    a_device_that_was_away_gets_what_it_missed_in_order_once,
    a_clean_session_wipes_what_was_kept,
    what_is_too_old_is_not_delivered,
    only_what_was_subscribed_waits_and_a_stopped_topic_stays_so,
    a_full_queue_gives_up_its_oldest_and_says_so,
    nothing_is_lost_with_a_gateway,
)
