"""A server on alibabacloud-iot20180120 and what things have: models, properties, events, services, desired values."""

import asyncio
import json
from typing import Any

import pytest

from tests.integration.flows import thing_services
from tests.integration.flows.steps import connected, eventually
from tests.integration.flows.things import TSL, heard
from tests.sdks.driver import Servers
from tests.sdks.steps import device, names, product
from tests.support.identity import Identity
from tests.support.platform import AllInOne

pytestmark = pytest.mark.asyncio(loop_scope="session")
EVER = {"StartTime": 0, "EndTime": 1 << 50, "PageSize": 10, "Asc": 1}


async def things(servers: Servers, tsl: dict[str, Any], count: int = 1) -> list[Identity]:
    """Devices of a product with that thing model."""
    key = await product(servers)
    await servers.ok("https-v1", "import_thing_model_tsl", ProductKey=key, TslStr=json.dumps(tsl))
    await servers.ok("https-v1", "publish_thing_model", ProductKey=key)
    return [await device(servers, key) for _ in range(count)]


async def test_a_thing_model_is_imported_and_its_properties_set_and_read(
    all_in_one: AllInOne, servers: Servers
) -> None:
    key = await product(servers)
    await servers.ok("https-v1", "import_thing_model_tsl", ProductKey=key, TslStr=json.dumps(TSL))
    await servers.ok("https-v1", "publish_thing_model", ProductKey=key, ModelVersion="v1")
    published = await servers.ok("https-v1", "get_thing_model_tsl_published", ProductKey=key)
    assert {row["identifier"] for row in json.loads(published["Data"]["TslStr"])["properties"]} == {
        "Temp",
        "On",
        "Note",
    }
    versions = await servers.ok("https-v1", "list_thing_model_version", ProductKey=key)
    assert "v1" in [row["ModelVersion"] for row in versions["Data"]["ModelVersions"]]
    faulty = await servers.call("https-v1", "import_thing_model_tsl", ProductKey=key, TslStr='{"properties":[{}]}')
    assert faulty["Success"] is False
    assert faulty["Code"].startswith("iot.")
    identity = await device(servers, key)
    async with await connected(all_in_one, identity) as thing:
        topic = f"/sys/{key}/{identity.device_name}/thing"
        sent = await servers.ok("https-v1", "set_device_property", **names(identity), Items='{"Temp":30}')
        command = json.loads((await heard(thing, f"{topic}/service/property/set")).payload)
        assert (command["id"], command["params"]) == (sent["Data"]["MessageId"], {"Temp": 30})
        thing.publish(f"{topic}/event/property/post", b'{"id":"1","version":"1.0","params":{"Temp":31}}')
        thing.publish(f"{topic}/event/alarm/post", b'{"id":"2","version":"1.0","params":{"value":{"code":3}}}')
        await heard(thing, f"{topic}/event/alarm/post_reply")
    latest = await servers.ok("https-v1", "query_device_property_status", **names(identity))
    assert {"Temp": "31"}.items() <= {
        row["Identifier"]: row.get("Value") for row in latest["Data"]["List"]["PropertyStatusInfo"]
    }.items()
    history = await servers.ok("https", "query_device_property_data", **names(identity), Identifier="Temp", **EVER)
    assert [row["Value"] for row in history["Data"]["List"]["PropertyInfo"]] == ["31"]
    events = await servers.ok("https", "query_device_event_data", **names(identity), Identifier="alarm", **EVER)
    assert json.loads(events["Data"]["List"]["EventInfo"][0]["OutputData"]) == {"code": 3}


async def test_what_is_desired_is_set_read_and_cleared(servers: Servers) -> None:
    (identity,) = await things(servers, TSL)
    one = names(identity)
    made = await servers.ok("http-v1", "set_device_desired_property", **one, Items='{"Temp":30,"On":1}', Versions="{}")
    assert json.loads(made["Data"]["Versions"]) == {"Temp": 1, "On": 1}

    async def desired() -> dict[str, Any]:
        answer = await servers.ok("http", "query_device_desired_property", **one, Identifier=["Temp", "On"])
        rows = answer["Data"]["List"]["DesiredPropertyInfo"]
        return {row["Identifier"]: (row.get("Value"), row["Version"]) for row in rows}

    assert await desired() == {"Temp": ("30", 1), "On": ("1", 1)}
    await servers.ok("https", "clear_device_desired_property", **one, Identifies=["On"])
    assert (await desired())["On"][0] is None
    late = await servers.call("http", "set_device_desired_property", **one, Items='{"Temp":31}', Versions='{"Temp":7}')
    assert late["Success"] is False


async def test_many_devices_are_set_and_called_and_their_history_is_read(
    all_in_one: AllInOne, servers: Servers
) -> None:
    first, second = await things(servers, thing_services.TSL, 2)
    many = {"ProductKey": first.product_key, "DeviceName": [first.device_name, second.device_name]}
    prefix = f"/sys/{first.product_key}/{first.device_name}/thing"
    async with await connected(all_in_one, first) as one, await connected(all_in_one, second) as other:
        await servers.ok("https", "set_devices_property", **many, Items='{"Temp":30}')
        await servers.ok("https", "invoke_things_service", **many, Identifier="reboot", Args='{"delay":5}')
        for thing in (one, other):
            below = f"/sys/{thing.identity.product_key}/{thing.identity.device_name}/thing/service"
            assert json.loads((await heard(thing, f"{below}/property/set")).payload)["params"] == {"Temp": 30}
            assert json.loads((await heard(thing, f"{below}/reboot")).payload)["params"] == {"delay": 5}
        called = {**names(first), "Identifier": "sum", "Args": '{"a":1}'}
        calling = asyncio.create_task(servers.ok("https", "invoke_thing_service", **called))
        request = await one.receive()
        answer = {"id": json.loads(request.payload)["id"], "code": 200, "data": {"res": 3}}
        one.publish(request.topic.replace("/rrpc/request/", "/rrpc/response/"), json.dumps(answer).encode())
        assert json.loads((await calling)["Data"]["Result"]) == {"res": 3}
        one.publish(f"{prefix}/event/property/post", b'{"id":"1","version":"1.0","params":{"Temp":31}}')
        await heard(one, f"{prefix}/event/property/post_reply")
    values = await servers.ok("https", "query_device_properties_data", **names(first), Identifier=["Temp"], **EVER)
    (row,) = values["PropertyDataInfos"]["PropertyDataInfo"]
    assert (row["Identifier"], [value["Value"] for value in row["List"]["PropertyInfo"]]) == ("Temp", ["31"])

    async def recorded() -> bool:
        calls = await servers.ok("https", "query_device_service_data", **names(first), Identifier="sum", **EVER)
        rows = calls["Data"]["List"]["ServiceInfo"]
        return [json.loads(row["OutputData"]) for row in rows if "OutputData" in row] == [{"res": 3}]

    assert await eventually(recorded)
