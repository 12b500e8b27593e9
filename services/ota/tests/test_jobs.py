"""Which devices get a task, and how jobs end."""

import time

import pytest

from tests.support.ota_service import Fleet
from tests.support.rule_engine_service import until
from thinghub.common.errors import RemoteFault
from thinghub.common.postgres import Postgres
from thinghub.ota.adapters.postgres_rollout import PostgresRollout
from thinghubpb.ota.v1 import ota_pb2 as pb


async def cancel(fleet: Fleet, job: pb.Job, **what: bool) -> int:
    request = pb.CancelTasksRequest(job_id=job.job_id)
    for name, wanted in what.items():
        setattr(request, name, wanted)
    return (await fleet.stub.CancelTasks(request)).canceled


async def test_all_means_every_device_of_the_product_in_pages(fleet: Fleet) -> None:
    devices = [await fleet.device(f"dev-{number:03d}") for number in range(230)]
    fleet.gateway.offline |= {device.device_name for device in devices[::2]}
    job = await fleet.job(await fleet.firmware())

    async def everyone() -> bool:
        answer = await fleet.stub.ListTasks(pb.ListTasksRequest(job_id=job.job_id, page_size=1))
        return answer.total == 230

    await until(everyone, "a task for every device")
    await until(lambda: len(fleet.gateway.downlinks) >= 115, "those online are told")
    listed, token = [], "first"
    while token:
        request = pb.ListTasksRequest(job_id=job.job_id, page_size=100, next_token="" if token == "first" else token)
        answer = await fleet.stub.ListTasks(request)
        listed += [task.device_name for task in answer.tasks]
        token = answer.next_token
    assert listed == [device.device_name for device in devices]
    assert await cancel(fleet, job, queued=True, notified=True) == 230
    await fleet.until_job(job, "CANCELED")


async def test_a_device_that_has_the_version_needs_no_upgrade(fleet: Fleet) -> None:
    device = await fleet.device()
    async with fleet.announced() as announced:
        await fleet.put(fleet.inform(device, "2.0.0"))
        await until(lambda: len(announced) >= 1, "its version")
    job = await fleet.job(await fleet.firmware("2.0.0"), device)
    await fleet.until_task(job, device, "SUCCEEDED")
    await fleet.until_job(job, "COMPLETED")
    assert fleet.gateway.told(device) == []


async def test_source_versions_choose_devices(fleet: Fleet) -> None:
    old, new, silent = [await fleet.device() for _ in range(3)]
    async with fleet.announced() as announced:
        await fleet.put(fleet.inform(old, "1.0"), fleet.inform(new, "1.5"))
        await until(lambda: len(announced) >= 2, "their versions")
    job = await fleet.job(await fleet.firmware("2.0"), old, new, silent, src_versions=["1.0", "0.9"])
    assert set(await fleet.tasks(job)) == {old.device_name}


async def test_a_device_works_on_one_upgrade_of_a_module_at_a_time(fleet: Fleet) -> None:
    device = await fleet.device()
    first = await fleet.job(await fleet.firmware("2.0"), device)
    await fleet.until_task(first, device, "NOTIFIED")
    second = await fleet.job(await fleet.firmware("3.0"), device)
    refused = await fleet.until_task(second, device, "FAILED")
    assert refused.description == "another upgrade of this module is unfinished"
    module = await fleet.job(await fleet.firmware("9", module="mcu"), device)
    await fleet.until_task(module, device, "NOTIFIED")
    third = await fleet.job(await fleet.firmware("4.0"), device, overwrite_mode=2)
    await fleet.until_task(third, device, "NOTIFIED")
    assert (await fleet.tasks(first))[device.device_name].status == "CANCELED"
    assert (await fleet.tasks(module))[device.device_name].status == "NOTIFIED"
    await fleet.put(fleet.inform(device, "4.0"))
    await fleet.until_task(third, device, "SUCCEEDED")


async def test_a_planned_job_begins_at_its_time_and_can_be_cancelled_before(fleet: Fleet) -> None:
    device, other = await fleet.device(), await fleet.device()
    firmware = await fleet.firmware()
    soon = await fleet.job(firmware, device, scheduled_ms=round((time.time() + 2) * 1000))
    later = await fleet.job(firmware, other, scheduled_ms=round((time.time() + 3600) * 1000))
    assert (soon.status, later.status) == ("PLANNED", "PLANNED")
    await fleet.put(fleet.online(device), fleet.inform(device, "1.0"))
    assert await cancel(fleet, later, queued=True) == 0
    assert await cancel(fleet, later, scheduled=True) == 1
    await fleet.until_job(later, "CANCELED")
    await fleet.until_task(soon, device, "NOTIFIED")
    await fleet.until_job(soon, "IN_PROGRESS")
    assert len(fleet.gateway.told(device)) == 1
    assert fleet.gateway.told(other) == []


async def test_a_cancelled_task_stays_so(fleet: Fleet) -> None:
    device = await fleet.device()
    job = await fleet.job(await fleet.firmware("2.0"), device)
    await fleet.until_task(job, device, "NOTIFIED")
    assert await cancel(fleet, job, queued=True, in_progress=True) == 0
    assert await cancel(fleet, job, notified=True) == 1
    await fleet.until_job(job, "CANCELED")
    async with fleet.announced() as announced:
        await fleet.put(fleet.progress(device, 10), fleet.inform(device, "2.0"))
        await until(lambda: any(one.topic.endswith("/ota/version/post") for one in announced), "the version")
    assert (await fleet.tasks(job))[device.device_name].status == "CANCELED"


async def test_a_gateway_that_is_away_delays_the_upgrade_only(fleet: Fleet) -> None:
    device = await fleet.device()
    fleet.gateway.away = True
    job = await fleet.job(await fleet.firmware(), device)
    assert (await fleet.tasks(job))[device.device_name].status == "QUEUED"
    fleet.gateway.away = False
    await fleet.until_task(job, device, "NOTIFIED")


async def test_a_task_that_takes_longer_than_allowed_fails(fleet: Fleet, ota_settings: dict[str, object]) -> None:
    device = await fleet.device()
    job = await fleet.job(await fleet.firmware(), device, timeout_minutes=1)
    await fleet.until_task(job, device, "NOTIFIED")
    postgres = Postgres.open(str(ota_settings["postgres_dsn"]), str(ota_settings["postgres_schema"]))
    try:
        now_ms = time.time_ns() // 1_000_000
        assert await PostgresRollout(postgres).expire(now_ms + 50_000, 10) == 0
        assert await PostgresRollout(postgres).expire(now_ms + 61_000, 10) == 1
    finally:
        await postgres.close()
    assert (await fleet.until_task(job, device, "FAILED")).description == "not finished in time"
    await fleet.until_job(job, "COMPLETED")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"firmware_id": "none"}, "firmware_not_found"),
        ({"product_key": "none"}, "product_not_found"),
        ({"target_selection": "GRAY"}, "ota_unsupported"),
        ({"target_selection": "NONE"}, "ota_request_invalid"),
        ({"target_selection": "SPECIFIC"}, "ota_request_invalid"),
        ({"timeout_minutes": 1441}, "ota_request_invalid"),
        ({"overwrite_mode": 3}, "ota_request_invalid"),
        ({"src_versions": [""]}, "ota_request_invalid"),
        ({"scheduled_ms": 1 << 60}, "ota_request_invalid"),
    ],
)
async def test_jobs_that_make_no_sense_are_refused(fleet: Fleet, wrong: dict[str, object], reason: str) -> None:
    firmware = await fleet.firmware()
    with pytest.raises(RemoteFault) as refusal:
        await fleet.job(firmware, **wrong)
    assert refusal.value.remote_reason == reason


async def test_another_instance_sees_nothing(fleet: Fleet) -> None:
    firmware = await fleet.firmware()
    job = await fleet.job(firmware)
    with pytest.raises(RemoteFault) as firmware_refusal:
        await fleet.stub.GetFirmware(pb.GetFirmwareRequest(instance_id="other", firmware_id=firmware.firmware_id))
    assert firmware_refusal.value.remote_reason == "firmware_not_found"
    with pytest.raises(RemoteFault) as job_refusal:
        await fleet.stub.GetJob(pb.GetJobRequest(instance_id="other", job_id=job.job_id))
    assert job_refusal.value.remote_reason == "job_not_found"
