"""Thing models through the signed API, with the real owner."""

import json
import secrets
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEMP = {"identifier": "Temp", "name": "T", "dataType": {"type": "int", "specs": {"min": "0", "max": "9"}}}


async def test_a_thing_model_is_imported_extended_published_and_read(platform: "Platform") -> None:
    api = platform.api()
    made = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0)
    key = made["ProductKey"]
    await api.ok("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps({"properties": [TEMP]}))
    added = {"identifier": "On", "dataType": "BOOL", "rwFlag": "READ_WRITE", "dataSpecsList": []}
    await api.ok("CreateThingModel", ProductKey=key, ThingModelJson=json.dumps({"properties": [added]}))
    assert (await api.call("GetThingModelTslPublished", ProductKey=key))[
        "Code"
    ] == "iot.prod.QueryProductAbilitiesFailed"
    await api.ok("PublishThingModel", ProductKey=key, ModelVersion="v1", Description="first")
    for action, more in (
        ("GetThingModelTsl", {}),
        ("GetThingModelTslPublished", {}),
        ("GetThingModelTslPublished", {"ModelVersion": "v1", "Simple": "true"}),
    ):
        tsl = json.loads((await api.ok(action, ProductKey=key, **more))["Data"]["TslStr"])
        assert tsl["profile"] == {"productKey": key}
        assert [one["identifier"] for one in tsl["properties"]] == ["Temp", "On"]
    (version,) = (await api.ok("ListThingModelVersion", ProductKey=key))["Data"]["ModelVersions"]
    assert (version["ModelVersion"], version["Description"]) == ("v1", "first")
    assert isinstance(version["GmtCreate"], int)


async def test_a_tsl_with_a_fault_is_refused_with_its_path(platform: "Platform") -> None:
    api = platform.api()
    made = await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0)
    key = made["ProductKey"]
    bad = {"properties": [{**TEMP, "dataType": {"type": "int", "specs": {"min": "9", "max": "0"}}}]}
    refused = await api.call("ImportThingModelTsl", ProductKey=key, TslStr=json.dumps(bad))
    assert refused["Code"] == "iot.prod.UpdateProductFailed"
    assert "$.properties[0].dataType.specs.min" in refused["ErrorMessage"]
    rest = await platform.rest("PUT", f"/v1/products/{key}/thing-model", json={"TslStr": json.dumps(bad)})
    assert rest.status_code == 400
    assert rest.json()["position"] == "$.properties[0].dataType.specs.min"
    assert (await api.call("PublishThingModel", ProductKey=key))["Code"] == "iot.prod.QueryProductAbilitiesFailed"


async def test_the_rest_face_has_the_thing_model_too(platform: "Platform") -> None:
    made = await platform.api().ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0)
    path = f"/v1/products/{made['ProductKey']}/thing-model"
    put = await platform.rest("PUT", path, json={"TslStr": json.dumps({"properties": [TEMP]})})
    assert put.status_code == 200
    assert (await platform.rest("POST", f"{path}/versions", json={})).status_code == 201
    shown = await platform.rest("GET", f"{path}/published")
    assert "Temp" in shown.json()["Data"]["TslStr"]
