"""`thinghub why`, typed as an operator would, against each way of running the platform."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.flows.steps import connected, eventually, new_device, new_product, until_status
from tests.support.device import Refused
from tests.support.gateway_device import GatewayDevice
from tests.support.identity import Identity
from tests.support.platform import Platform


@dataclass(frozen=True)
class Said:
    """What the command printed, and its exit code."""

    code: int
    out: str
    errors: str


async def why(platform: Platform, identity: Identity, *options: str, **environment: str) -> Said:
    access = {
        "THINGHUB_API": platform.api_url,
        "THINGHUB_ACCESS_KEY_ID": platform.key.access_key_id,
        "THINGHUB_ACCESS_KEY_SECRET": platform.key.access_key_secret,
    }
    command = ["-m", "thinghub.cli.main", "why", identity.product_key, identity.device_name, *options]
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env=os.environ | access | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(child.communicate(), 60)
    assert child.returncode is not None
    return Said(child.returncode, out.decode(), errors.decode())


async def until(platform: Platform, identity: Identity, cause: str, attempts: int) -> dict[str, Any]:
    """The answer once so much is remembered: it is written a moment after it happened."""
    api = platform.api()

    async def told() -> dict[str, Any]:
        answer = await api.rest("GET", f"/v1/products/{identity.product_key}/devices/{identity.device_name}/why")
        body: dict[str, Any] = answer.json()
        return body if body.get("Cause") == cause and len(body["Attempts"]) >= attempts else {}

    body: dict[str, Any] = await eventually(told)
    assert body, f"never {cause} with {attempts} attempts"
    return body


async def refused_connects(platform: Platform, identity: Identity, many: int) -> None:
    for _ in range(many):
        with pytest.raises(Refused):
            await connected(platform, identity)


async def why_a_device_is_away(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    said = await why(platform, identity)
    assert (said.code, said.errors) == (1, "")
    assert "It has never connected" in said.out
    wrong = Identity(identity.product_key, identity.device_name, "not-the-secret")
    await refused_connects(platform, wrong, 4)
    await until(platform, identity, "refused", 4)
    said = await why(platform, identity)
    assert said.code == 1
    assert "Its last 4 connects were refused: wrong signature, from 127.0.0.1 " in said.out
    assert "re-flash it" in said.out
    assert said.out.count("  wrong signature") == 4
    assert identity.device_secret not in said.out


async def why_a_device_works_and_why_it_stopped(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    device = await connected(platform, identity)
    await until(platform, identity, "online", 1)
    said = await why(platform, identity, "--json")
    body = json.loads(said.out)
    assert (said.code, body["Healthy"], body["Session"]["Online"]) == (0, True, True)
    assert body["Limits"]["UpQos1PerSecond"] == 10
    assert (body["Messages"], body["SampledEvery"]) == ([], 0)
    other = await connected(platform, identity)
    await device.wait_closed()
    body = await until(platform, identity, "online", 3)
    assert body["LastClose"]["Reason"] == "taken_over"
    await other.disconnect()
    await until_status(api, identity, "OFFLINE")
    body = await until(platform, identity, "closed", 4)
    assert body["LastClose"]["Meaning"] == "the device disconnected by itself"
    await api.ok("DisableThing", ProductKey=identity.product_key, DeviceName=identity.device_name)
    said = await why(platform, identity)
    assert said.code == 1
    assert "It is disabled" in said.out


async def why_a_sub_device_is_away(platform: Platform) -> None:
    api = platform.api()
    hubs = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=1)
    hub, sensor = await new_device(api, str(hubs["ProductKey"])), await new_device(api, await new_product(api))
    device = GatewayDevice(await connected(platform, hub))
    assert (await device.add(sensor))["code"] == 200
    body = await until(platform, sensor, "never_connected", 0)
    assert body["GatewayDevice"] == {"ProductKey": hub.product_key, "DeviceName": hub.device_name, "Online": True}
    assert (await device.login(sensor))["code"] == 200
    body = await until(platform, sensor, "online", 1)
    assert f"behind gateway device {hub.product_key}/{hub.device_name}" in body["Conclusion"]
    assert (await until(platform, hub, "online", 1))["Traffic"]["SubDevices"] == 1
    await device.device.disconnect()
    await until_status(api, sensor, "OFFLINE")
    await until_status(api, hub, "OFFLINE")
    said = await why(platform, sensor)
    assert said.code == 1
    assert f"{hub.product_key}/{hub.device_name}, which is offline itself" in said.out


async def why_a_device_that_is_online_is_not_heard(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    device = await connected(platform, identity)
    await device.subscribe(identity.topic("get"))
    device.publish("/sys/somebody/else/thing/event/property/post", b"{}")
    body = await until(platform, identity, "not_permitted", 1)
    assert body["Traffic"]["Subscriptions"] == [identity.topic("get")]
    said = await why(platform, identity)
    assert said.code == 1
    assert "1 of its publishes went to topics that it may not use" in said.out
    await device.disconnect()


async def why_of_names_nobody_registered_and_what_cannot_be_asked(platform: Platform) -> None:
    api = platform.api()
    product_key = await new_product(api)
    nobody = Identity(product_key, "nobody", "s")
    await refused_connects(platform, nobody, 1)
    body = await until(platform, nobody, "not_registered", 1)
    assert "Somebody tries to connect under this name, from 127.0.0.1" in body["Conclusion"]
    said = await why(platform, Identity("a1nowhere00", "nobody", "s"))
    assert (said.code, said.errors) == (1, "")
    assert "There is no product a1nowhere00." in said.out
    said = await why(platform, nobody, THINGHUB_ACCESS_KEY_SECRET="wrong")
    assert (said.code, said.out) == (2, "")
    assert "does not know the access key" in said.errors
    said = await why(platform, nobody, THINGHUB_API="http://127.0.0.1:1")
    assert said.code == 2
    assert "does not answer" in said.errors


FLOWS: tuple[Callable[[Platform], Awaitable[None]], ...] = (
    why_a_device_is_away,
    why_a_device_works_and_why_it_stopped,
    why_a_sub_device_is_away,
    why_a_device_that_is_online_is_not_heard,
    why_of_names_nobody_registered_and_what_cannot_be_asked,
)
