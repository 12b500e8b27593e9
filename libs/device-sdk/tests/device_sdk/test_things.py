"""Calls of the platform: the answer that each gets, and the way of a property set through a real gateway."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

import pytest

from thinghub.device_sdk import Device, Endpoint, Identity, ReplyError

Make = Callable[..., Device]


class Service(Protocol):
    async def deliver(self, topic: str, payload: bytes) -> None: ...


@pytest.fixture
def thermostat() -> Device:
    """Never connected: answers are made without a connection."""
    made = Device(Identity("pk", "dn", "secret"), Endpoint("127.0.0.1", 1))

    async def put(values: dict[str, Any]) -> None:
        if values.get("Temp", 0) > 40:
            raise ReplyError(460, "too hot", {"Temp": 40})
        if "fault" in values:
            raise OSError("the valve is stuck")

    async def get(names: list[str]) -> dict[str, Any]:
        return dict.fromkeys(names, 1)

    async def reboot(given: dict[str, Any]) -> dict[str, Any]:
        return {"in": given["delay"]}

    made.things.on_property_set(put)
    made.things.on_property_get(get)
    made.things.on_service("reboot", reboot)
    made.things.on_service("block:reboot", reboot)
    return made


@pytest.mark.parametrize(
    ("method", "params", "code", "data"),
    [
        ("property.set", {"Temp": 30.5}, 200, {}),
        ("property.set", {"Temp": 50}, 460, {"Temp": 40}),
        ("property.set", {"fault": 1}, 500, {}),
        ("property.set", [1], 460, {}),
        ("property.get", ["Temp"], 200, {"Temp": 1}),
        ("reboot", {"delay": 3}, 200, {"in": 3}),
        ("block:reboot", {"delay": 3}, 200, {"in": 3}),
        ("unknown", {}, 400, {}),
    ],
)
async def test_a_call_gets_its_answer(thermostat: Device, method: str, params: object, code: int, data: object) -> None:
    call = {"id": "00017", "version": "1.0", "params": params, "method": f"thing.service.{method}"}
    for with_method in (call, {**call, "method": ""}):
        topic = thermostat.identity.sys("thing/service/" + method.replace(".", "/"))
        answer = await thermostat.things.answer(topic, json.dumps(with_method).encode())
        assert answer is not None
        said = json.loads(answer)
        assert (said["id"], said["code"], said["data"]) == ("00017", code, data)


@pytest.mark.parametrize("payload", [b"", b"not json", b"[]", b'{"method":"thing.config.push"}'])
async def test_what_is_no_call_gets_none(thermostat: Device, payload: bytes) -> None:
    assert await thermostat.things.answer("", payload) is None


async def test_a_property_set_reaches_its_handler(device: Make, uplinks: Service) -> None:
    seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue(10)
    one = device()
    one.things.on_property_set(seen.put)
    async with one:
        body = {"id": "1", "version": "1.0", "params": {"Temp": 30.5}, "method": "thing.service.property.set"}
        await uplinks.deliver(one.identity.sys("thing/service/property/set"), json.dumps(body).encode())
        assert await asyncio.wait_for(seen.get(), 10) == {"Temp": 30.5}
