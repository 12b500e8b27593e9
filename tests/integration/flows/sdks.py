"""A server and a gateway device, both on the vendor's public SDKs (open-api §4, device-mqtt §10).

What else the SDKs do stands in `tests/sdks`, against one form of the platform.
"""

import asyncio
import json
import secrets

from tests.integration.flows import thing_services
from tests.sdks.driver import LinkKitDevice, Servers
from tests.sdks.steps import named, names
from tests.support.identity import Identity
from tests.support.platform import Platform


async def a_server_and_a_gateway_on_the_public_sdks_work_together(platform: Platform) -> None:
    async with Servers(platform) as servers:
        gateway = await _registered(servers, await _product(servers, "gateway", 1))
        model = await _product(servers, "pump", 0)
        await servers.ok("https", "import_thing_model_tsl", ProductKey=model, TslStr=json.dumps(thing_services.TSL))
        await servers.ok("https", "publish_thing_model", ProductKey=model)
        pump = await _registered(servers, model)
        async with LinkKitDevice(platform, gateway, tls=True) as kit:
            await _added_and_logged_in(servers, kit, pump)
            await _spoken_with(servers, kit, pump)
            await servers.ok("https", "remove_thing_topo", **names(pump))
            _, told, _ = await kit.event("on_gateway_topo_change")
            assert told == {"status": 1, "subList": [named(pump)]}
            _, payload = await kit.message(f"/ext/error/{gateway.product_key}/{gateway.device_name}")
            assert json.loads(payload)["code"] == 6401
            left = await servers.ok("https", "get_thing_topo", **names(gateway), PageNo=1, PageSize=10)
            assert left["Data"]["Total"] == 0


async def _added_and_logged_in(servers: Servers, kit: LinkKitDevice, pump: Identity) -> None:
    """As the server asks the gateway to."""
    gateway = kit.identity
    asked = {"GwProductKey": gateway.product_key, "GwDeviceName": gateway.device_name}
    sent = await servers.ok("https-v1", "notify_add_thing_topo", **asked, DeviceListStr=json.dumps([named(pump)]))
    topic, payload = await kit.message()
    wanted = json.loads(payload)
    assert topic == f"/sys/{gateway.product_key}/{gateway.device_name}/thing/topo/add/notify"
    assert (wanted["id"], wanted["params"]) == (sent["Data"]["MessageId"], [named(pump)])
    await kit.publish(f"{topic}_reply", json.dumps({"id": wanted["id"], "code": 200, "data": {}}), 0)
    secret = [[pump.product_key, pump.device_name, pump.device_secret]]
    await kit.call("gateway_add_subdev_topo", secret)
    assert (await kit.event("on_gateway_add_subdev_topo_reply"))[1] == 200
    await kit.call("gateway_login_subdev", secret)
    assert (await kit.event("on_gateway_login_subdev_reply"))[1:3] == [200, [named(pump)]]
    behind = await servers.ok("https-v1", "get_thing_topo", **names(gateway), PageNo=1, PageSize=10)
    assert [row["DeviceName"] for row in behind["Data"]["List"]["deviceInfo"]] == [pump.device_name]
    before = await servers.ok("https-v1", "get_gateway_by_sub_device", **names(pump))
    assert before["Data"]["DeviceName"] == gateway.device_name


async def _spoken_with(servers: Servers, kit: LinkKitDevice, pump: Identity) -> None:
    prefix = f"/sys/{pump.product_key}/{pump.device_name}/thing"
    await kit.publish(f"{prefix}/event/property/post", '{"id":"5","version":"1.0","params":{"Temp":21}}')
    _, payload = await kit.message(f"{prefix}/event/property/post_reply")
    assert (json.loads(payload)["id"], json.loads(payload)["code"]) == ("5", 200)
    status = await servers.ok("https", "query_device_property_status", **names(pump))
    values = {row["Identifier"]: row.get("Value") for row in status["Data"]["List"]["PropertyStatusInfo"]}
    assert values["Temp"] == "21"
    await servers.ok("https", "set_device_property", **names(pump), Items='{"Temp":30}')
    _, payload = await kit.message(f"{prefix}/service/property/set")
    assert json.loads(payload)["params"] == {"Temp": 30}
    invoke = servers.ok("https", "invoke_thing_service", **names(pump), Identifier="sum", Args='{"a":1}')
    calling = asyncio.create_task(invoke)
    topic, payload = await kit.message()
    number = json.loads(payload)["id"]
    await kit.publish(topic.replace("/rrpc/request/", "/rrpc/response/"), _answer(number, {"res": 3}), 0)
    assert json.loads((await calling)["Data"]["Result"]) == {"res": 3}


async def _product(servers: Servers, name: str, node_type: int) -> str:
    made = await servers.ok("https", "create_product", ProductName=f"{name} {secrets.token_hex(6)}", NodeType=node_type)
    return str(made["ProductKey"])


async def _registered(servers: Servers, product_key: str) -> Identity:
    made = (await servers.ok("https", "register_device", ProductKey=product_key))["Data"]
    return Identity(product_key, made["DeviceName"], made["DeviceSecret"])


def _answer(number: str, data: object) -> str:
    return json.dumps({"id": number, "code": 200, "data": data})


FLOWS = (a_server_and_a_gateway_on_the_public_sdks_work_together,)
