"""A device from one version to the next: upload, firmware, job, upgrade message, download in ranges, new version."""

import hashlib
import json
import secrets
import ssl
import time
from typing import Any

import httpx

from tests.integration.flows.steps import Sink, connected, eventually, new_device, new_product, running_rule
from tests.support.device import Device
from tests.support.openapi import OpenApi
from tests.support.platform import Platform

SIZE = 300_000


async def a_device_is_upgraded_from_upload_to_new_version(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    package = secrets.token_bytes(SIZE)
    async with await connected(platform, identity) as device:
        inform(device, "1.0.0")
        job = await job_of(api, device, await firmware_of(api, identity.product_key, package))
        told = await _upgrade(device)
        assert (told["version"], told["size"], told["signMethod"]) == ("2.0.0", SIZE, "Md5")
        assert await _downloaded(platform, told["url"]) == package
        assert hashlib.md5(package).hexdigest() == told["sign"]
        _say(device, "progress", {"step": "50", "desc": "half"})

        async def halfway() -> bool:
            return bool((await task_of(api, job))["Progress"] == "50")

        assert await eventually(halfway), await task_of(api, job)
        inform(device, "2.0.0")
        await succeeded(api, job)


async def a_device_that_was_away_is_told_when_it_returns(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    job = await job_of(api, Device(identity), await firmware_of(api, identity.product_key, b"small"))
    assert (await task_of(api, job))["TaskStatus"] == "QUEUED"
    async with await connected(platform, identity) as device:
        assert (await _upgrade(device))["version"] == "2.0.0"
        ask = {"id": "1", "version": "1.0", "params": {}, "method": "thing.ota.firmware.get"}
        prefix = f"/sys/{identity.product_key}/{identity.device_name}/thing/ota/firmware"
        device.publish(f"{prefix}/get", json.dumps(ask).encode())
        reply = await device.receive(20)
        assert reply.topic == f"{prefix}/get_reply"
        answer = json.loads(reply.payload)
        assert (answer["id"], answer["code"], answer["data"]["version"]) == ("1", 200, "2.0.0")
        inform(device, "2.0.0")
        await succeeded(api, job)


async def a_finished_upgrade_is_told_to_rules(platform: Platform) -> None:
    """The result, the changed version, and what becomes of the job (server-subscription §4)."""
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    key, name = identity.product_key, identity.device_name
    sink = await Sink(platform, "said text, device text, job text, of text, at bigint").create(api)
    for short, said, of in (
        ("+/ota/upgrade", "status", "destVersion"),
        (f"{name}/ota/version/post", "moduleVersion", "moduleName"),
        ("${packageId}/${jobId}/ota/job/status", "status", "packageId"),
    ):
        select = f"{said} AS said, {of} AS of, jobId AS job, deviceName() AS device, messageCreateTime AS at"
        columns = {"said": "${said}", "device": "${device}", "job": "${job}", "of": "${of}", "at": "${at}"}
        await running_rule(api, key, select, "RDS", json.dumps(sink.action(columns)), short=short, topic_type=0)
    async with await connected(platform, identity) as device:
        inform(device, "1.0.0")
        firmware = await firmware_of(api, key, b"told")
        job = await job_of(api, device, firmware)
        await _upgrade(device)
        inform(device, "2.0.0")
        await succeeded(api, job)
    expected = {
        ("SUCCEEDED", name, job, "2.0.0"),
        ("1.0.0", name, None, "default"),
        ("2.0.0", name, None, "default"),
        ("IN_PROGRESS", "", job, firmware),
        ("COMPLETED", "", job, firmware),
    }

    async def told() -> bool:
        return {(row["said"], row["device"], row["job"], row["of"]) for row in await sink.rows()} == expected

    assert await eventually(told), await sink.rows()
    assert all(abs(row["at"] / 1000 - time.time()) < 120 for row in await sink.rows())


async def an_upgrade_under_way_survives_a_restart(platform: Platform) -> None:
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    job = await job_of(api, Device(identity), await firmware_of(api, identity.product_key, b"kept"))
    await platform.restart()
    api = platform.api()
    async with await connected(platform, identity) as device:
        told = await _upgrade(device)
        assert await _downloaded(platform, told["url"]) == b"kept"
        inform(device, "2.0.0")
        await succeeded(api, job)


def inform(device: Device, version: str) -> None:
    _say(device, "inform", {"version": version})


def _say(device: Device, what: str, params: dict[str, str]) -> None:
    identity = device.identity
    topic = f"/ota/device/{what}/{identity.product_key}/{identity.device_name}"
    device.publish(topic, json.dumps({"id": 1, "params": params}).encode())


async def firmware_of(api: OpenApi, product_key: str, package: bytes, method: str = "MD5") -> str:
    place = (await api.ok("GenerateOTAUploadURL", FileSuffix="bin"))["Data"]
    form = {name: place[name[:1].upper() + name[1:]] for name in ("key", "policy", "OSSAccessKeyId", "Signature")}
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        answer = await http.post(place["Host"], data=form, files={"file": ("f.bin", package)})
    assert answer.status_code == 204, answer.text
    made = await api.ok(
        "CreateOTAFirmware",
        FirmwareName="release 2",
        DestVersion="2.0.0",
        FirmwareUrl=place["FirmwareUrl"],
        ProductKey=product_key,
        FirmwareSize=len(package),
        FirmwareSign=hashlib.new(method, package).hexdigest(),
        SignMethod=method,
    )
    return str(made["Data"]["FirmwareId"])


async def job_of(api: OpenApi, device: Device, firmware_id: str) -> str:
    made = await api.ok(
        "CreateOTAStaticUpgradeJob",
        FirmwareId=firmware_id,
        ProductKey=device.identity.product_key,
        TargetSelection="SPECIFIC",
        TargetDeviceName=[device.identity.device_name],
    )
    return str(made["Data"]["JobId"])


async def _upgrade(device: Device) -> dict[str, Any]:
    """The data of the upgrade message, which no device subscribes to."""
    inbound = await device.receive(30)
    assert inbound.topic == f"/ota/device/upgrade/{device.identity.product_key}/{device.identity.device_name}"
    message = json.loads(inbound.payload)
    assert (message["code"], message["message"]) == ("1000", "success")
    data: dict[str, Any] = message["data"]
    return data


async def _downloaded(platform: Platform, url: str) -> bytes:
    """In two ranges, the second over TLS; a URL that was altered opens nothing."""
    trust = ssl.create_default_context(cafile=platform.ca)
    async with httpx.AsyncClient(trust_env=False, timeout=20, verify=trust) as http:
        first = await http.get(url, headers={"Range": "bytes=0-2"})
        rest = await http.get(url.replace("http://", "https://"), headers={"Range": "bytes=3-"})
        assert (first.status_code, rest.status_code) == (206, 206), (first.text, rest.text)
        assert (await http.get(url[:-1] + ("0" if url[-1] != "0" else "1"))).status_code == 403
    return first.content + rest.content


async def task_of(api: OpenApi, job_id: str) -> dict[str, Any]:
    (task,) = (await api.ok("ListOTATaskByJob", JobId=job_id))["Data"]["SimpleOTATaskInfo"]
    found: dict[str, Any] = task
    return found


async def succeeded(api: OpenApi, job_id: str) -> None:
    async def done() -> bool:
        task = (await task_of(api, job_id))["TaskStatus"]
        job = (await api.ok("QueryOTAJob", JobId=job_id))["Data"]["JobStatus"]
        return bool((task, job) == ("SUCCEEDED", "COMPLETED"))

    assert await eventually(done), await task_of(api, job_id)
