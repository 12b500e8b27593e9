"""Who stands behind which gateway: said by gateways, read and changed by callers."""

import asyncio
import json
import secrets
from typing import Any

from tests.integration.flows.steps import Sink, connected, eventually, new_device, new_product, running_rule
from tests.support.gateway_device import GatewayDevice, name, proof, sys
from tests.support.identity import Identity
from tests.support.openapi import OpenApi
from tests.support.platform import Platform


async def new_gateway(api: OpenApi) -> Identity:
    product = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=1)
    return await new_device(api, str(product["ProductKey"]))


def named(device: Identity) -> dict[str, str]:
    return {"ProductKey": device.product_key, "DeviceName": device.device_name}


async def listed(api: OpenApi, gateway: Identity) -> list[str]:
    data = (await api.ok("GetThingTopo", **named(gateway), PageNo=1, PageSize=50))["Data"]
    assert data["Total"] == len(data["List"]["deviceInfo"])
    return [one["DeviceName"] for one in data["List"]["deviceInfo"]]


async def a_gateway_adds_reads_and_deletes_its_sub_devices(platform: Platform) -> None:
    api = platform.api()
    identity, product_key = await new_gateway(api), await new_product(api)
    first, second = await new_device(api, product_key, "sensor1"), await new_device(api, product_key, "sensor2")
    async with await connected(platform, identity) as device:
        gateway = GatewayDevice(device)

        async def ask(what: str, params: object) -> dict[str, Any]:
            return await gateway.ask(sys(identity, f"thing/topo/{what}"), params, 20)

        added = await ask("add", [proof(first), proof(second, "hmacsha1")])
        assert (added["code"], added["data"]) == (200, [name(first), name(second)])
        assert await listed(api, identity) == ["sensor1", "sensor2"]
        assert (await ask("get", {}))["data"] == [name(first), name(second)]
        assert (await ask("delete", [name(first)]))["code"] == 200
        assert (await ask("delete", [name(first)]))["code"] == 6401
        assert await listed(api, identity) == ["sensor2"]
        forged = proof(first) | {"sign": "0" * 64}
        assert (await ask("add", [forged]))["code"] == 401
        assert (await ask("add", [name(first)]))["code"] == 460
        assert (await gateway.ask(sys(identity, "thing/list/found"), [name(first)], 20))["code"] == 200


async def a_gateway_is_asked_to_add_and_told_what_callers_change(platform: Platform) -> None:
    api = platform.api()
    identity, sub = await new_gateway(api), await new_device(api, await new_product(api))
    async with await connected(platform, identity) as device:
        gateway = GatewayDevice(device)
        sent = await api.ok(
            "NotifyAddThingTopo",
            GwProductKey=identity.product_key,
            GwDeviceName=identity.device_name,
            DeviceListStr=json.dumps([name(sub)]),
        )
        notify = sys(identity, "thing/topo/add/notify")
        asked = json.loads((await gateway.receive(notify)).payload)
        assert (asked["id"], asked["params"]) == (sent["Data"]["MessageId"], [name(sub)])
        device.publish(f"{notify}_reply", json.dumps({"id": asked["id"], "code": 200, "data": {}}).encode())
        assert (await gateway.add(sub))["code"] == 200
        found = (await api.ok("GetGatewayBySubDevice", **named(sub)))["Data"]
        assert (found["DeviceName"], found["NodeType"], found["Status"]) == (identity.device_name, "1", "ONLINE")

        async def change() -> tuple[int, list[dict[str, str]]]:
            params = json.loads((await gateway.receive(sys(identity, "thing/topo/change"))).payload)["params"]
            return params["status"], params["subList"]

        await api.ok("DisableThing", **named(sub))
        assert await change() == (8, [name(sub)])
        await api.ok("EnableThing", **named(sub))
        assert await change() == (2, [name(sub)])
        assert (await api.ok("RemoveThingTopo", **named(sub)))["Data"] is True
        assert await change() == (1, [name(sub)])
        assert await listed(api, identity) == []


async def the_last_proven_addition_moves_a_sub_device(platform: Platform) -> None:
    api = platform.api()
    one, other = await new_gateway(api), await new_gateway(api)
    sub = await new_device(api, await new_product(api))
    async with await connected(platform, one) as near, await connected(platform, other) as far:
        first, second = GatewayDevice(near), GatewayDevice(far)
        assert (await first.add(sub))["code"] == 200
        assert (await second.add(sub))["code"] == 200
        change = json.loads((await first.receive(sys(one, "thing/topo/change"))).payload)
        assert change["params"] == {"status": 1, "subList": [name(sub)]}
        assert (await listed(api, one), await listed(api, other)) == ([], [sub.device_name])
        await asyncio.gather(*(api.ok("DeleteDevice", **named(device)) for device in (sub, one)))
        change = json.loads((await second.receive(sys(other, "thing/topo/change"))).payload)
        assert change["params"] == {"status": 1, "subList": [name(sub)]}
        assert await listed(api, other) == []


async def rules_hear_of_topology(platform: Platform) -> None:
    api = platform.api()
    identity, sub = await new_gateway(api), await new_device(api, await new_product(api))
    sink = await Sink(platform, "action text, gateway text, sub text").create(api)
    columns = {"action": "${action}", "gateway": "${gwDeviceName}", "sub": "${devices}"}
    for short in ("+/thing/topo/lifecycle", "+/thing/list/found"):
        await running_rule(
            api, identity.product_key, "action, gwDeviceName, devices", "RDS", json.dumps(sink.action(columns)),
            short=short, topic_type=0,
        )  # fmt: skip
    async with await connected(platform, identity) as device:
        gateway = GatewayDevice(device)
        assert (await gateway.add(sub))["code"] == 200
        assert (await gateway.ask(sys(identity, "thing/list/found"), [name(sub)], 20))["code"] == 200
    await api.ok("RemoveThingTopo", **named(sub))

    async def stored() -> list[dict[str, Any]]:
        rows = await sink.rows()
        return rows if len(rows) == 3 else []

    rows = await eventually(stored)
    assert {row["gateway"] for row in rows} == {identity.device_name}
    assert all(sub.device_name in row["sub"] for row in rows)
    assert {"create", "delete"} <= {row["action"] for row in rows}


FLOWS = (
    a_gateway_adds_reads_and_deletes_its_sub_devices,
    a_gateway_is_asked_to_add_and_told_what_callers_change,
    the_last_proven_addition_moves_a_sub_device,
    rules_hear_of_topology,
)
