"""Histories of several properties and their retention through the API; values are driven in the integration flows."""

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.support.openapi import ApiRefused

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

SPAN = {"StartTime": 0, "EndTime": 1, "PageSize": 1}


async def test_a_device_that_reported_nothing_has_empty_lists(platform: "Platform") -> None:
    api = platform.api()
    key = (await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"]
    await api.ok("RegisterDevice", ProductKey=key, DeviceName="device1")
    named = {"ProductKey": key, "DeviceName": "device1"}
    two = {"Identifier.1": "b", "Identifier.2": "a"}
    answer = await api.ok("QueryDevicePropertiesData", **named, **two, **SPAN)
    assert answer["PropertyDataInfos"] == {
        "PropertyDataInfo": [
            {"Identifier": "b", "List": {"PropertyInfo": []}},
            {"Identifier": "a", "List": {"PropertyInfo": []}},
        ]
    }
    assert (answer["NextValid"], "NextTime" in answer) == (False, False)
    backwards = await api.call("QueryDevicePropertiesData", **named, **two, **{**SPAN, "StartTime": 2})
    assert backwards["Code"] == "iot.device.QueryDeviceAttrDataHistoryFailed"
    eleven = {f"Identifier.{number}": f"p{number}" for number in range(1, 12)}
    for wrong, code in (
        (SPAN, "MissingParameter"),
        ({**SPAN, **eleven}, "InvalidParameter"),
        ({**SPAN, **two, "PageSize": 0}, "InvalidParameter"),
        ({**SPAN, **two, "PageSize": 101}, "InvalidParameter"),
    ):
        with pytest.raises(ApiRefused) as refused:
            await api.call("QueryDevicePropertiesData", **named, **wrong)
        assert refused.value.code == code


async def test_a_product_keeps_fewer_days_than_the_platform(platform: "Platform") -> None:
    key = (await platform.api().ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"]
    path = f"/v1/products/{key}/retention"
    assert (await platform.rest("GET", path)).json().items() >= {"Days": 30, "Own": False}.items()
    for days, kept, own in ((7, 7, True), (0, 30, False), (30, 30, True)):
        answer = await platform.rest("PUT", path, json={"Days": days})
        assert (answer.status_code, answer.json()["Days"], answer.json()["Own"]) == (200, kept, own)
        assert (await platform.rest("GET", path)).json()["Days"] == kept
    for wrong in (31, -1, "x"):
        assert (await platform.rest("PUT", path, json={"Days": wrong})).status_code == 400
    assert (await platform.rest("PUT", "/v1/products/nobody/retention", json={"Days": 5})).status_code == 404
