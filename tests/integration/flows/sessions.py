"""Connecting, being refused, being replaced, and the status a server sees."""

import asyncio
import ssl

import pytest

from tests.integration.flows.steps import connected, new_device, new_product, status, until_status
from tests.support.device import Device, Refused
from tests.support.identity import Identity
from tests.support.platform import Platform


async def connect_and_status(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    assert await status(api, identity) == "UNACTIVE"
    device = await connected(platform, identity)
    await until_status(api, identity, "ONLINE")
    batch = await api.ok("BatchGetDeviceState", ProductKey=identity.product_key, DeviceName=[identity.device_name])
    assert [s["Status"] for s in batch["DeviceStatusList"]["DeviceStatus"]] == ["ONLINE"]
    await device.disconnect()
    await until_status(api, identity, "OFFLINE")
    listed = await api.ok("QueryDevice", ProductKey=identity.product_key)
    assert [d["DeviceName"] for d in listed["Data"]["DeviceInfo"]] == [identity.device_name]


async def every_signature_and_both_ports(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    context = ssl.create_default_context(cafile=platform.ca)
    for method, (host, port), tls in (
        ("hmacmd5", platform.mqtt, None),
        ("hmacsha1", platform.mqtt, context),
        ("hmacsha256", platform.mqtts, context),
    ):
        device = await Device(identity, method=method).connect(host, port, tls=tls)
        await device.disconnect()
        await until_status(api, identity, "OFFLINE")


async def wrong_password_and_unknown_device_are_refused_with_4(platform: Platform) -> None:
    api = platform.api()
    product_key = await new_product(api)
    identity = await new_device(api, product_key)
    wrong = Identity(product_key, identity.device_name, "not-the-secret")
    unknown = Identity(product_key, "nobody", "not-the-secret")
    foreign = Identity("a1nowhere00", identity.device_name, identity.device_secret)
    for stranger in (wrong, unknown, foreign):
        with pytest.raises(Refused) as refused:
            await connected(platform, stranger)
        assert refused.value.code == 4


async def a_disabled_device_is_cut_and_refused_until_enabled(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    device = await connected(platform, identity)
    await until_status(api, identity, "ONLINE")
    named = {"ProductKey": identity.product_key, "DeviceName": identity.device_name}
    await api.ok("DisableThing", **named)
    await device.wait_closed()
    assert await status(api, identity) == "DISABLE"
    with pytest.raises(Refused) as refused:
        await connected(platform, identity)
    assert refused.value.code == 5
    await api.ok("EnableThing", **named)
    async with await connected(platform, identity):
        await until_status(api, identity, "ONLINE")


async def a_deleted_device_is_cut_and_unknown(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    device = await connected(platform, identity)
    await api.ok("DeleteDevice", ProductKey=identity.product_key, DeviceName=identity.device_name)
    await device.wait_closed()
    with pytest.raises(Refused):
        await connected(platform, identity)
    gone = await api.call("QueryDeviceDetail", ProductKey=identity.product_key, DeviceName=identity.device_name)
    assert gone["Success"] is False
    assert gone["Code"] == "iot.device.NotExistedDevice"


async def second_connection_kicks_the_first(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    first = await connected(platform, identity)
    second = await connected(platform, identity)
    await first.wait_closed()
    await asyncio.sleep(0.5)
    assert not second.closed.is_set()
    await until_status(api, identity, "ONLINE")
    await second.disconnect()
    await until_status(api, identity, "OFFLINE")
