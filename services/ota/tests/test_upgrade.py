"""A device from the version it has to the one it gets, over the real bus and database."""

import hashlib

from tests.support.ota_service import PACKAGE, Fleet
from tests.support.rule_engine_service import until
from thinghub.device_protocol.bodies import lifecycle_body, lifecycle_topic


async def test_a_device_is_told_reports_progress_and_the_version_ends_it(fleet: Fleet) -> None:
    device = await fleet.device()
    await fleet.put(fleet.inform(device, "1.0.0"))
    async with fleet.announced() as announced:
        await until(lambda: any(one.topic.endswith("/ota/version/post") for one in announced), "the first version")
        job = await fleet.job(await fleet.firmware("2.0.0"), device)
        told = await fleet.until_told(device)
        assert told["code"] == "1000"
        assert isinstance(told["id"], int)
        assert told["message"] == "success"
        data = told["data"]
        digest = hashlib.md5(PACKAGE).hexdigest()
        assert (data["version"], data["size"], data["module"]) == ("2.0.0", len(PACKAGE), "default")
        assert (data["sign"], data["md5"], data["signMethod"]) == (digest, digest, "Md5")
        assert "isDiff" not in data
        task = await fleet.until_task(job, device, "NOTIFIED")
        assert (task.src_version, task.dest_version) == ("1.0.0", "2.0.0")
        await fleet.put(fleet.progress(device, "50", "half"), fleet.inform(device, "1.0.0"))
        task = await fleet.until_task(job, device, "IN_PROGRESS")
        assert (task.progress, task.description) == (50, "half")
        await fleet.put(fleet.progress(device, 100))
        await fleet.put(fleet.inform(device, "2.0.0"))
        await fleet.until_task(job, device, "SUCCEEDED")
        await fleet.until_job(job, "COMPLETED")
        await until(lambda: len(announced) >= 5, "what is announced")
    bodies = {one.topic: one.payload for one in announced}
    assert b'"status":"SUCCEEDED"' in bodies[f"/{device.product_key}/{device.device_name}/ota/upgrade"]
    assert b'"moduleVersion":"2.0.0"' in bodies[f"/{device.product_key}/{device.device_name}/ota/version/post"]
    assert b'"status":"COMPLETED"' in bodies[f"/{device.product_key}/{job.firmware_id}/{job.job_id}/ota/job/status"]


async def test_sha256_and_a_difference_are_spelled_for_devices(fleet: Fleet) -> None:
    device, other = await fleet.device(), await fleet.device()
    async with fleet.announced() as announced:
        await fleet.put(fleet.inform(device, "1.0", module="mcu"), fleet.inform(other, "0.9", module="mcu"))
        await until(lambda: len(announced) >= 2, "both versions are known")
    digest = hashlib.sha256(PACKAGE).hexdigest()
    firmware = await fleet.firmware(
        "2.0", sign=digest.upper(), sign_method="SHA256", type=1, src_version="1.0", module="mcu", udi='{"a":1}'
    )
    assert firmware.sign == digest

    await fleet.job(firmware)
    data = (await fleet.until_told(device))["data"]
    assert (data["signMethod"], data["sign"], data["isDiff"], data["module"]) == ("SHA256", digest, 1, "mcu")
    assert data["extData"] == {"_package_udi": '{"a":1}'}
    assert fleet.gateway.told(other) == []


async def test_a_device_that_was_away_is_told_when_it_returns(fleet: Fleet) -> None:
    device = await fleet.device()
    fleet.gateway.offline.add(device.device_name)
    job = await fleet.job(await fleet.firmware(), device)
    await fleet.until_task(job, device, "QUEUED")
    fleet.gateway.offline.clear()
    back = fleet.online(device)
    await fleet.put(back)
    first = await fleet.until_told(device)
    await fleet.until_task(job, device, "NOTIFIED")
    await fleet.put(back, back)  # a replay
    await fleet.put(fleet.online(device))
    second = await fleet.until_told(device, 2)
    assert len(fleet.gateway.told(device)) == 2
    assert second["data"]["version"] == first["data"]["version"]


async def test_a_device_back_from_its_upgrade_names_its_version_before_it_is_told_again(fleet: Fleet) -> None:
    device = await fleet.device()
    job = await fleet.job(await fleet.firmware("2.0.0"), device)
    await fleet.until_told(device)
    await fleet.put(fleet.progress(device, 90))
    await fleet.until_task(job, device, "IN_PROGRESS")
    await fleet.put(fleet.online(device), fleet.inform(device, "2.0.0"))
    await fleet.until_task(job, device, "SUCCEEDED")
    await fleet.until_job(job, "COMPLETED")
    assert len(fleet.gateway.told(device)) == 1


async def test_a_replayed_record_changes_nothing(fleet: Fleet) -> None:
    device = await fleet.device()
    old = fleet.inform(device, "2.0.0")
    failed = fleet.progress(device, -2)
    await fleet.put(old, failed, fleet.inform(device, "1.0.0"))
    async with fleet.announced() as announced:
        await until(lambda: len(announced) >= 2, "both versions")
        job = await fleet.job(await fleet.firmware("2.0.0"), device)
        before = await fleet.until_task(job, device, "NOTIFIED")
        count = len(announced)
        await fleet.put(old, failed, old)
        await fleet.put(fleet.progress(device, 1))
        after = await fleet.until_task(job, device, "IN_PROGRESS")
        assert (before.src_version, after.progress) == ("1.0.0", 1)
        assert len(announced) == count


async def test_a_failure_of_the_device_ends_its_task(fleet: Fleet) -> None:
    device = await fleet.device()
    job = await fleet.job(await fleet.firmware(), device)
    await fleet.until_told(device)
    await fleet.put(fleet.progress(device, "-3"))
    task = await fleet.until_task(job, device, "FAILED")
    assert task.description == "verification failed"
    await fleet.until_job(job, "COMPLETED")


async def test_questions_are_answered_on_their_own_topics(fleet: Fleet) -> None:
    device = await fleet.device()
    ask = {"id": "get|1", "version": "1.0", "params": {"module": "default"}, "method": "thing.ota.firmware.get"}
    get = "/sys/{pk}/{dn}/thing/ota/firmware/get"
    request = "/ota/device/request/{pk}/{dn}"
    await fleet.put(fleet.says(device, get, ask), fleet.says(device, request, {"id": 3, "params": {"version": "1"}}))
    none = await fleet.until_told(device, 2)
    assert fleet.gateway.told(device)[0] == {
        "id": "get|1",
        "code": 200,
        "message": "success",
        "data": {},
        "method": "thing.ota.firmware.get",
        "version": "1.0",
    }
    assert none == {"id": 3, "code": 500, "data": {}, "message": "none upgrade operation of the device."}
    assert {(one.origin, one.handle) for one in fleet.gateway.downlinks} == {("gw-1", 7)}
    job = await fleet.job(await fleet.firmware("2.0.0"), device, need_push=False)
    assert (await fleet.tasks(job))[device.device_name].status == "QUEUED"
    await fleet.put(fleet.says(device, get, ask), fleet.says(device, request, {"id": 4, "params": {}}))
    pushed = await fleet.until_told(device, 4)
    got = fleet.gateway.told(device)[2]
    assert (got["code"], got["data"]["version"]) == (200, "2.0.0")
    assert (pushed["code"], pushed["id"], pushed["data"]["version"]) == ("1000", 4, "2.0.0")
    assert (
        fleet.gateway.downlinks[2].topic
        == f"/sys/{device.product_key}/{device.device_name}/thing/ota/firmware/get_reply"
    )
    assert fleet.gateway.downlinks[3].topic == f"/ota/device/upgrade/{device.product_key}/{device.device_name}"
    await fleet.until_task(job, device, "NOTIFIED")


async def test_what_devices_should_not_send_stops_nobody(fleet: Fleet) -> None:
    device = await fleet.device()
    bad = [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"params":{}}',
        b'{"params":{"version":7}}',
        b'{"params":{"version":"' + b"1" * 65 + b'"}}',
    ]
    deep = b"[" * 2000
    await fleet.put(*(fleet.says(device, "/ota/device/inform/{pk}/{dn}", one) for one in (*bad, deep)))
    await fleet.put(*(fleet.progress(device, step) for step in (0, 101, "x", None, -9, True)))
    job = await fleet.job(await fleet.firmware("2.0.0"), device)
    await fleet.until_told(device)
    await fleet.put(fleet.inform(device, "2.0.0"))
    await fleet.until_task(job, device, "SUCCEEDED")


async def test_a_deleted_device_has_no_upgrade(fleet: Fleet) -> None:
    device = await fleet.device("doomed")
    job = await fleet.job(await fleet.firmware(), device)
    task = await fleet.until_task(job, device, "NOTIFIED")
    body = lifecycle_body("delete", product_key=device.product_key, device_name="doomed", iot_id=task.iot_id, time_ms=1)
    await fleet.put(fleet.says(device, lifecycle_topic(device.product_key, "doomed"), body))
    assert (await fleet.until_task(job, device, "CANCELED")).description == "the device was deleted"
