"""A device on aliyun-iot-linkkit goes from one version to the next (device-mqtt §6)."""

import hashlib
import json
import secrets
from pathlib import Path

import pytest

from tests.integration.flows import ota
from tests.integration.flows.steps import eventually, new_device, new_product
from tests.sdks.driver import LinkKitDevice
from tests.support.device import Device
from tests.support.openapi import OpenApi
from tests.support.platform import AllInOne


@pytest.mark.parametrize(("tls", "digest"), [(False, "MD5"), (True, "SHA256")], ids=["plain, MD5", "tls, SHA256"])
async def test_a_device_downloads_what_it_is_told_and_reports_until_it_has_it(
    all_in_one: AllInOne, api: OpenApi, tmp_path: Path, tls: bool, digest: str
) -> None:
    identity = await new_device(api, await new_product(api))
    package = secrets.token_bytes(200_000)
    name = f"{identity.product_key}/{identity.device_name}"
    async with LinkKitDevice(all_in_one, identity, tls=tls) as device:
        await device.call("ota_report_version", None, "1.0.0")  # the SDK says that it failed, whatever became of it
        firmware = await ota.firmware_of(api, identity.product_key, package, digest)
        job = await ota.job_of(api, Device(identity), firmware)
        kind, version, size, url, method, sign, module, _ = await device.event("on_ota_message_arrived")
        assert (kind, version, size, module) == (1, "2.0.0", len(package), "default")
        await device.call("query_ota_firmware")
        asked = await device.event("on_ota_message_arrived")
        assert (asked[0], asked[1], asked[5]) == (2, "2.0.0", sign)

        if tls:
            url = url.replace("http://", "https://")
        file = tmp_path / "package"
        assert await device.call("download_ota_firmware", url, str(file), method, sign) == 0
        assert file.read_bytes() == package
        other = hashlib.new(digest, b"other").hexdigest()
        assert await device.call("download_ota_firmware", url, str(tmp_path / "again"), method, other) != 0

        step = {"id": "1", "params": {"step": "50", "desc": "written", "module": "default"}}
        await device.publish(f"/ota/device/progress/{name}", json.dumps(step))

        async def halfway() -> bool:
            return bool((await ota.task_of(api, job))["Progress"] == "50")

        assert await eventually(halfway)
        await device.call("ota_report_version", None, "2.0.0")
        await ota.succeeded(api, job)
