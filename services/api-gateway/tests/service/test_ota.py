"""Firmware and upgrade jobs through the signed API, with the real ota behind it."""

import hashlib
import secrets
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.openapi import OpenApi

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")
PACKAGE = secrets.token_bytes(70_000)


async def uploaded(api: OpenApi, package: bytes = PACKAGE) -> dict[str, Any]:
    data: dict[str, Any] = (await api.ok("GenerateOTAUploadURL", FileSuffix="bin"))["Data"]
    form = {name: data[member] for name, member in FORM.items()}
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        answer = await http.post(data["Host"], data=form, files={"file": ("f.bin", package)})
    assert answer.status_code == 204, answer.text
    return data


FORM = {"key": "Key", "policy": "Policy", "OSSAccessKeyId": "OSSAccessKeyId", "Signature": "Signature"}


async def product(api: OpenApi, *devices: str) -> str:
    key = str((await api.ok("CreateProduct", ProductName=f"p_{secrets.token_hex(6)}", NodeType=0))["ProductKey"])
    for device in devices:
        await api.ok("RegisterDevice", ProductKey=key, DeviceName=device)
    return key


async def firmware(api: OpenApi, product_key: str, **members: Any) -> dict[str, Any]:
    place = await uploaded(api)
    given = {"FirmwareName": "release", "DestVersion": "2.0", "FirmwareUrl": place["FirmwareUrl"], **members}
    return await api.call("CreateOTAFirmware", ProductKey=product_key, **given)


@pytest.mark.parametrize("face", ["acs3", "v1"])
async def test_a_firmware_and_a_job_are_made_and_shown(platform: "Platform", face: str) -> None:
    api = platform.api(face)
    key = await product(api, "dev1", "dev2")
    digest = hashlib.sha256(PACKAGE).hexdigest()
    made = await firmware(
        api, key, SignMethod="SHA256", FirmwareSign=digest, FirmwareSize=len(PACKAGE), FirmwareDesc="about"
    )
    firmware_id = made["Data"]["FirmwareId"]
    info = (await api.ok("QueryOTAFirmware", FirmwareId=firmware_id))["FirmwareInfo"]
    assert (info["SignMethod"], info["FirmwareSign"], info["FirmwareSize"]) == ("SHA256", digest, len(PACKAGE))
    assert (info["FirmwareName"], info["DestVersion"], info["ModuleName"]) == ("release", "2.0", "default")
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(info["FirmwareUrl"])).content == PACKAGE
    job = await api.ok(
        "CreateOTAStaticUpgradeJob",
        FirmwareId=firmware_id,
        ProductKey=key,
        TargetSelection="SPECIFIC",
        TargetDeviceName=["dev1", "dev2"],
        Tag=[{"Key": "why", "Value": "test"}],
        TimeoutInMinutes=60,
    )
    job_id = job["Data"]["JobId"]
    data = (await api.ok("QueryOTAJob", JobId=job_id))["Data"]
    assert (data["JobStatus"], data["TargetSelection"], data["DestVersion"]) == ("IN_PROGRESS", "SPECIFIC", "2.0")
    assert data["Tags"] == {"OtaTagDTO": [{"Key": "why", "Value": "test"}]}
    listed = await api.ok("ListOTATaskByJob", JobId=job_id, PageSize=1)
    assert (listed["Total"], listed["PageCount"]) == (2, 2)
    (task,) = listed["Data"]["SimpleOTATaskInfo"]
    assert (task["DeviceName"], task["TaskStatus"], task["Progress"]) == ("dev1", "QUEUED", "0")
    one = await api.ok("ListOTATaskByJob", JobId=job_id, DeviceNames=["dev2"], TaskStatus="QUEUED")
    assert [each["DeviceName"] for each in one["Data"]["SimpleOTATaskInfo"]] == ["dev2"]
    await api.ok("CancelOTATaskByJob", JobId=job_id, CancelQueuedTask=True)
    left = await api.ok("ListOTATaskByJob", JobId=job_id)
    assert {each["TaskStatus"] for each in left["Data"]["SimpleOTATaskInfo"]} == {"CANCELED"}


async def test_the_rest_face_pages_tasks_by_key(platform: "Platform") -> None:
    api = platform.api()
    key = await product(api, "dev-a", "dev-b", "dev-c")
    made = await firmware(api, key)
    body = {
        "FirmwareId": made["Data"]["FirmwareId"],
        "ProductKey": key,
        "TargetSelection": "SPECIFIC",
        "TargetDeviceName": ["dev-a", "dev-b", "dev-c"],
    }
    created = await api.rest("POST", "/v1/ota/jobs", json=body)
    assert created.status_code == 201, created.text
    tasks = f"/v1/ota/jobs/{created.json()['Data']['JobId']}/tasks"
    first = (await api.rest("GET", tasks, params={"PageSize": 2})).json()
    second = (await api.rest("GET", tasks, params={"PageSize": 2, "NextToken": first["NextToken"]})).json()
    names = [each["DeviceName"] for page in (first, second) for each in page["Data"]["SimpleOTATaskInfo"]]
    assert names == ["dev-a", "dev-b", "dev-c"]
    assert "NextToken" not in second


async def test_wrong_packages_are_refused_with_their_code(platform: "Platform") -> None:
    api = platform.api()
    key = await product(api)

    async def refusal(**members: Any) -> str:
        return str((await firmware(api, key, **members))["Code"])

    assert await refusal(FirmwareSign="0" * 32) == "iot.ota.FirmwareSignMismatch"
    assert await refusal(FirmwareSize=len(PACKAGE) - 1) == "iot.ota.FirmwareSignMismatch"
    assert await refusal(FirmwareUrl="https://example.com/f.bin") == "iot.ota.FirmwareFileNotExist"
    empty = (await api.ok("GenerateOTAUploadURL"))["Data"]["FirmwareUrl"]
    assert await refusal(FirmwareUrl=empty) == "iot.ota.FirmwareFileNotExist"
    place = await uploaded(api)
    assert (await firmware(api, key, FirmwareUrl=place["FirmwareUrl"]))["Success"] is True
    assert await refusal(FirmwareUrl=place["FirmwareUrl"]) == "iot.ota.FirmwareAlreadyExist"
    assert (await api.call("QueryOTAFirmware", FirmwareId="none"))["Code"] == "iot.ota.FirmwareNotExist"
    assert (await api.call("QueryOTAJob", JobId="none"))["Code"] == "iot.ota.JobNotExist"


@pytest.mark.parametrize(
    "asked",
    [
        {"TargetSelection": "GRAY", "GrayPercent": "10"},
        {"TargetSelection": "GROUP"},
        {"NeedConfirm": True},
        {"RetryCount": 1},
        {"MaximumPerMinute": 10},
        {"DownloadProtocol": "MQTT"},
        {"ScheduleFinishTime": 1},
    ],
    ids=lambda asked: "-".join(asked),
)
async def test_what_would_not_happen_is_refused(platform: "Platform", asked: dict[str, Any]) -> None:
    api = platform.api()
    key = await product(api)
    made = await firmware(api, key)
    wanted = {"FirmwareId": made["Data"]["FirmwareId"], "ProductKey": key, "TargetSelection": "ALL", **asked}
    answer = await api.call("CreateOTAStaticUpgradeJob", **wanted)
    assert (answer["Success"], answer["Code"]) == (False, "iot.ota.UnsupportedUpgrade")
