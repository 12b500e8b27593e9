"""Desired properties: set by callers, told to devices that are there, asked for and cleared by devices."""

import asyncio
import json
import time
from typing import Any

from tests.integration.flows.histories import new_gateway
from tests.integration.flows.steps import connected, eventually, new_device, until_status
from tests.integration.flows.things import POST, asked, heard, latest, modelled
from tests.support.gateway_device import GatewayDevice, sys
from tests.support.identity import Identity
from tests.support.openapi import OpenApi
from tests.support.platform import Platform

GET, DELETE = "thing/property/desired/get", "thing/property/desired/delete"


def named(identity: Identity) -> dict[str, str]:
    return {"ProductKey": identity.product_key, "DeviceName": identity.device_name}


async def wish(api: OpenApi, identity: Identity, items: dict[str, object], **versions: int) -> dict[str, Any]:
    """The answer's `Data`, with the versions read."""
    given = json.dumps(versions) if versions else None
    answer = await api.ok(
        "SetDeviceDesiredProperty", **named(identity), Items=json.dumps(items), Versions=given
    )  # fmt: skip
    data: dict[str, Any] = answer["Data"]
    return {**data, "Versions": json.loads(data["Versions"])}


async def shown(api: OpenApi, identity: Identity, *identifiers: str) -> dict[str, tuple[str | None, int]]:
    """Value and version by identifier."""
    answer = await api.ok("QueryDeviceDesiredProperty", **named(identity), Identifier=list(identifiers))
    rows = answer["Data"]["List"]["DesiredPropertyInfo"]
    return {row["Identifier"]: (row.get("Value"), row["Version"]) for row in rows}


async def a_desired_property_reaches_the_device_and_is_cleared_by_it(platform: Platform) -> None:
    api = platform.api()
    identity = await modelled(api)
    async with await connected(platform, identity) as device:
        topic = f"/sys/{identity.product_key}/{identity.device_name}/thing/service/property/set"
        first = await wish(api, identity, {"Temp": 30, "On": 1}, Temp=0)
        assert first["Versions"] == {"Temp": 1, "On": 1}
        command = json.loads((await heard(device, topic)).payload)
        assert (command["id"], command["params"]) == (first["MessageId"], {"Temp": 30, "On": 1})
        assert command["method"] == "thing.service.property.set"
        assert (await asked(device, identity, GET, ["Temp", "Gone"]))["data"] == {"Temp": {"value": 30, "version": 1}}
        # Meeting it does not clear it.
        assert (await asked(device, identity, POST, {"Temp": 30}))["code"] == 200
        assert await latest(api, identity) == {"Temp": "30"}
        assert await shown(api, identity, "Temp", "Note") == {"Temp": ("30", 1), "Note": (None, 0)}
        assert (await wish(api, identity, {"Temp": 31}, Temp=1))["Versions"] == {"Temp": 2}
        late = await api.call(
            "SetDeviceDesiredProperty", **named(identity), Items='{"Temp":99}', Versions='{"Temp":1}'
        )  # fmt: skip
        assert late["Code"] == "iot.device.DesiredPropertyVersionConflict"
        assert (await asked(device, identity, DELETE, {"Temp": {"version": 1}}))["code"] == 200
        assert (await asked(device, identity, GET, []))["data"] == {
            "Temp": {"value": 31, "version": 2},
            "On": {"value": 1, "version": 1},
        }
        assert (await asked(device, identity, DELETE, {"Temp": {"version": 2}}))["data"] == {}
        assert await shown(api, identity, "Temp", "On") == {"Temp": (None, 2), "On": ("1", 1)}
        assert (await asked(device, identity, DELETE, {}))["code"] == 200
        assert (await asked(device, identity, GET, []))["data"] == {}
        assert (await wish(api, identity, {"Temp": 5}))["Versions"] == {"Temp": 3}


async def a_device_that_was_away_asks_when_it_comes(platform: Platform) -> None:
    api = platform.api()
    identity = await modelled(api)
    async with await connected(platform, identity):
        pass
    await until_status(api, identity, "OFFLINE")
    for value in (1, 2, 3):
        assert (await wish(api, identity, {"Temp": value}))["Versions"] == {"Temp": value}
    async with await connected(platform, identity) as device:
        reply = await asked(device, identity, GET, ["Temp"])
        assert reply["data"] == {"Temp": {"value": 3, "version": 3}}
        await api.ok("ClearDeviceDesiredProperty", **named(identity), Identifies=["Temp"])
        assert (await asked(device, identity, GET, ["Temp"]))["data"] == {}


async def of_two_callers_with_one_version_one_wins(platform: Platform) -> None:
    api = platform.api()
    identity = await modelled(api)
    for version in range(10):
        answers = await asyncio.gather(
            *(
                api.call(
                    "SetDeviceDesiredProperty", **named(identity), Items=json.dumps({"Temp": value}),
                    Versions=json.dumps({"Temp": version}),
                )
                for value in (1, 2)
            )
        )  # fmt: skip
        assert sorted(answer["Success"] for answer in answers) == [False, True]


async def a_sub_device_asks_and_is_told_over_its_gateway(platform: Platform) -> None:
    api = platform.api()
    identity, sub = await new_gateway(api), await modelled(api)
    async with await connected(platform, identity) as device:
        gateway = GatewayDevice(device)
        assert (await gateway.add(sub))["code"] == 200
        assert (await gateway.login(sub))["code"] == 200
        await wish(api, sub, {"Temp": 30})
        command = json.loads((await gateway.receive(sys(sub, "thing/service/property/set"))).payload)
        assert command["params"] == {"Temp": 30}
        reply = await gateway.ask(sys(sub, GET), ["Temp"])
        assert reply["data"] == {"Temp": {"value": 30, "version": 1}}
        assert (await gateway.ask(sys(sub, DELETE), {"Temp": {"version": 1}}))["code"] == 200
        assert await shown(api, sub, "Temp") == {"Temp": (None, 1)}


async def a_device_made_anew_under_a_name_begins_with_nothing(platform: Platform) -> None:
    api = platform.api()
    identity = await modelled(api)
    async with await connected(platform, identity) as device:
        assert (await asked(device, identity, POST, {"Temp": 30}))["code"] == 200
    await wish(api, identity, {"Temp": 31})
    await api.ok("DeleteDevice", **named(identity))
    await new_device(api, identity.product_key, identity.device_name)

    async def forgotten() -> bool:
        kept = await shown(api, identity, "Temp")
        return kept == {"Temp": (None, 0)} and await latest(api, identity) == {}

    assert await eventually(forgotten)


async def hostile_requests_for_desired_properties_are_refused_in_bounded_time(platform: Platform) -> None:
    api = platform.api()
    identity = await modelled(api)
    await wish(api, identity, {"Temp": 1})
    async with await connected(platform, identity) as device:
        started = time.monotonic()
        many = [f"p{number}" for number in range(201)]
        assert (await asked(device, identity, GET, many))["code"] == 6104
        assert (await asked(device, identity, DELETE, {one: {} for one in many}))["code"] == 6104
        assert (await asked(device, identity, GET, {}))["code"] == 460
        assert (await asked(device, identity, DELETE, ["Temp"]))["code"] == 460
        assert (await asked(device, identity, DELETE, {"Temp": {"version": "new"}}))["code"] == 460
        deep = b'{"id":"8","params":' + b"[" * 1000 + b"]" * 1000 + b"}"
        wide = json.dumps({"params": {str(number): {} for number in range(15_000)}}).encode()
        for below in (GET, DELETE):
            topic = f"/sys/{identity.product_key}/{identity.device_name}/{below}"
            for payload, codes in ((deep, (460,)), (wide, (460, 6104)), (b"{", (400,)), (b"[]", (400,))):
                device.publish(topic, payload)
                assert json.loads((await heard(device, topic + "_reply")).payload)["code"] in codes
                await asyncio.sleep(0.1)
        assert time.monotonic() - started < 15
        assert (await asked(device, identity, GET, []))["data"] == {"Temp": {"value": 1, "version": 1}}


FLOWS = (
    a_desired_property_reaches_the_device_and_is_cleared_by_it,
    a_device_that_was_away_asks_when_it_comes,
    of_two_callers_with_one_version_one_wins,
    a_sub_device_asks_and_is_told_over_its_gateway,
    a_device_made_anew_under_a_name_begins_with_nothing,
    hostile_requests_for_desired_properties_are_refused_in_bounded_time,
)
