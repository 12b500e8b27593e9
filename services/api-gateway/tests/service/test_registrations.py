"""Many devices at once, against the real device-registry and auth: members and codes (open-api.md §6)."""

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.openapi import OpenApi

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def made_product(api: OpenApi) -> str:
    return str((await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"])


async def until_over(api: OpenApi, product_key: str, apply_id: int) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            data = (await api.ok("QueryBatchRegisterDeviceStatus", ProductKey=product_key, ApplyId=apply_id))["Data"]
            if data["Status"] != "CREATE":
                return dict(data)
            await asyncio.sleep(0.05)


async def test_names_are_checked_with_the_contracts_odd_members_then_registered(platform: "Platform") -> None:
    api = platform.api()
    key = await made_product(api)
    listed = [{"DeviceName": "good2", "DeviceNickname": "hall"}, {"DeviceName": "good3", "DeviceNickname": "n" * 65}]
    checked = await api.ok(
        "BatchCheckDeviceNames", ProductKey=key, DeviceName=["good1", "a b", "good1"], DeviceNameList=listed
    )
    data = checked["Data"]
    assert data["InvalidDeviceNameList"] == {"InvalidDeviceName": ["a b"]}
    assert data["InvalidDeviceNicknameList"] == {"InvalidDeviceNickname": ["n" * 65]}
    assert data["RepeatedDeviceNameList"] == {"RepeatDevieNameList": ["good1"]}
    details = data["InvalidDetailList"]["InvalidDetailList"]
    assert [one["DeviceName"] for one in details] == ["a b", "good1", "good3"]
    assert all(one["ErrorMsg"] for one in details)
    apply_id = data["ApplyId"]
    before = await until_over(api, key, apply_id)
    assert (before["Status"], before["ValidList"]) == ("CHECK_SUCCESS", {"Name": ["good1", "good2"]})
    started = await api.ok("BatchRegisterDeviceWithApplyId", ProductKey=key, ApplyId=apply_id)
    assert started["Data"] == {"ApplyId": apply_id}
    after = await until_over(api, key, apply_id)
    assert (after["Status"], after["ValidList"]) == ("CREATE_SUCCESS", {"Name": ["good1", "good2"]})
    assert after["InvalidList"] == {"Name": ["a b", "good1", "good3"]}
    assert len(after["InvalidDetailList"]["invalidDetailList"]) == 3
    page = await api.ok("QueryPageByApplyId", ApplyId=apply_id, CurrentPage=1, PageSize=1)
    assert (page["Total"], page["PageCount"], page["Page"], page["PageSize"]) == (2, 2, 1, 1)
    (row,) = page["ApplyDeviceList"]["ApplyDeviceInfo"]
    assert set(row) == {"DeviceId", "DeviceName", "DeviceSecret", "IotId"}
    detail = (await api.ok("QueryDeviceDetail", ProductKey=key, DeviceName="good2"))["Data"]
    assert detail["Nickname"] == "hall"


async def test_a_count_of_devices_is_registered(platform: "Platform") -> None:
    api = platform.api()
    key = await made_product(api)
    apply_id = (await api.ok("BatchRegisterDevice", ProductKey=key, Count=600))["Data"]["ApplyId"]
    done = await until_over(api, key, apply_id)
    assert (done["Status"], len(set(done["ValidList"]["Name"]))) == ("CREATE_SUCCESS", 600)
    listed = await api.ok("QueryDeviceByStatus", ProductKey=key, Status=0, CurrentPage=4, PageSize=200)
    assert (listed["Total"], listed["PageCount"], listed["Data"]["SimpleDeviceInfo"]) == (600, 3, [])
    first = await api.ok("QueryDeviceByStatus", ProductKey=key, Status=0, CurrentPage=1, PageSize=1)
    assert first["Data"]["SimpleDeviceInfo"][0]["Status"] == "UNACTIVE"
    counts = (await api.ok("QueryDeviceStatistics", ProductKey=key))["Data"]
    assert counts == {"deviceCount": 600, "onlineCount": 0, "activeCount": 0}
    everywhere = (await api.ok("QueryDeviceStatistics"))["Data"]
    assert everywhere["deviceCount"] >= 600


async def test_devices_are_imported_with_their_secrets(platform: "Platform") -> None:
    api = platform.api()
    key = await made_product(api)
    one = await api.ok(
        "ImportDevice", ProductKey=key, DeviceName="old1", DeviceSecret="kept-1", Nickname="hall", Sn="SN1"
    )
    assert (one["Data"]["DeviceSecret"], one["Data"]["Sn"], one["Data"]["Nickname"]) == ("kept-1", "SN1", "hall")
    devices = [
        {"DeviceName": "old2", "DeviceSecret": "kept-2", "Sn": "SN2"},
        {"DeviceName": "old1", "DeviceSecret": "other"},
        {"DeviceName": "a b", "DeviceSecret": "s"},
        {"DeviceName": "old3", "DeviceSecret": ""},
        {"DeviceName": "old4", "DeviceSecret": "s", "Sn": "x" * 65},
    ]
    data = (await api.ok("BatchImportDevice", ProductKey=key, DeviceList=devices))["Data"]
    assert data["InvalidDeviceNameList"] == {"invalidDeviceName": ["a b"]}
    assert data["InvalidDeviceSecretList"] == {"invalidDeviceSecret": ["old3"]}
    assert data["InvalidSnList"] == {"invalidSn": ["x" * 65]}
    assert data["RepeatedDeviceNameList"] == {"repeatedDeviceName": ["old1"]}
    assert len(data["InvalidDetailList"]["InvalidDetailList"]) == 4
    page = await api.ok("QueryPageByApplyId", ApplyId=data["ApplyId"], CurrentPage=1, PageSize=10)
    (row,) = page["ApplyDeviceList"]["ApplyDeviceInfo"]
    assert (row["DeviceName"], row["DeviceSecret"]) == ("old2", "kept-2")
    assert (await until_over(api, key, data["ApplyId"]))["Status"] == "CREATE_SUCCESS"


@pytest.mark.parametrize(
    ("action", "parameters", "code"),
    [
        ("BatchCheckDeviceNames", {}, "iot.device.NoneDeviceNameElement"),
        ("BatchImportDevice", {}, "iot.device.NoneDeviceNameElement"),
        ("BatchRegisterDevice", {"Count": 0}, "iot.device.ApplyManyDevicesFailed"),
        ("BatchRegisterDevice", {"Count": 10_001}, "iot.device.ApplyManyDevicesFailed"),
        ("BatchRegisterDevice", {"Count": 2**70}, "iot.device.ApplyManyDevicesFailed"),
        ("BatchRegisterDeviceWithApplyId", {}, "iot.device.NullApplyId"),
        ("BatchRegisterDeviceWithApplyId", {"ApplyId": 2**60}, "iot.device.DeviceApplyIsNotFound"),
        ("QueryBatchRegisterDeviceStatus", {"ApplyId": 2**60}, "iot.device.DeviceApplyIsNotFound"),
        ("QueryPageByApplyId", {"ApplyId": 2**60}, "iot.device.DeviceApplyIsNotFound"),
        ("ImportDevice", {"DeviceName": "a b", "DeviceSecret": "s"}, "iot.device.InvalidFormattedDeviceName"),
    ],
)
async def test_bad_batches_are_refused(
    platform: "Platform", action: str, parameters: dict[str, Any], code: str
) -> None:
    api = platform.api()
    key = await made_product(api)
    assert (await api.call(action, ProductKey=key, **parameters))["Code"] == code


async def test_an_application_of_another_product_is_not_carried_out(platform: "Platform") -> None:
    api = platform.api()
    mine, other = await made_product(api), await made_product(api)
    checked = (await api.ok("BatchCheckDeviceNames", ProductKey=mine, DeviceName=["good1"]))["Data"]
    refused = await api.call("BatchRegisterDeviceWithApplyId", ProductKey=other, ApplyId=checked["ApplyId"])
    assert refused["Code"] == "iot.device.IncorrectDeviceApplyInfo"
