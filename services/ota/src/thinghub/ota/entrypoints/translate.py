"""Values to protobuf and back."""

from thinghub.ota.domain.models import Firmware, Job, Task
from thinghub.ota.service.jobs import Cancellation, JobWish
from thinghubpb.ota.v1 import ota_pb2 as pb


def firmware(given: pb.Firmware) -> Firmware:
    """What is decided here (id, digests, times) is not taken from the caller."""
    return Firmware(
        firmware_id="",
        instance_id=given.instance_id,
        name=given.name,
        description=given.description,
        product_key=given.product_key,
        module=given.module,
        dest_version=given.dest_version,
        src_version=given.src_version,
        type=given.type,
        sign_method=given.sign_method,
        sign=given.sign,
        md5="",
        size=given.size,
        key="",
        need_to_verify=given.need_to_verify,
        udi=given.udi,
        created_ms=0,
        modified_ms=0,
    )


def firmware_message(firmware: Firmware, url: str) -> pb.Firmware:
    return pb.Firmware(
        firmware_id=firmware.firmware_id,
        instance_id=firmware.instance_id,
        name=firmware.name,
        description=firmware.description,
        product_key=firmware.product_key,
        module=firmware.module,
        dest_version=firmware.dest_version,
        src_version=firmware.src_version,
        type=firmware.type,
        sign_method=firmware.sign_method,
        sign=firmware.sign,
        size=firmware.size,
        url=url,
        need_to_verify=firmware.need_to_verify,
        udi=firmware.udi,
        created_ms=firmware.created_ms,
        modified_ms=firmware.modified_ms,
    )


def wish(request: pb.CreateStaticJobRequest) -> JobWish:
    job = request.job
    return JobWish(
        instance_id=request.instance_id,
        firmware_id=job.firmware_id,
        product_key=job.product_key,
        target_selection=job.target_selection,
        device_names=list(request.device_names),
        src_versions=tuple(job.src_versions),
        overwrite_mode=job.overwrite_mode,
        timeout_minutes=job.timeout_minutes,
        need_push=job.need_push,
        tags=tuple((tag.key, tag.value) for tag in job.tags),
        scheduled_ms=job.scheduled_ms,
    )


def job_message(job: Job) -> pb.Job:
    return pb.Job(
        job_id=job.job_id,
        firmware_id=job.firmware_id,
        product_key=job.product_key,
        module=job.module,
        dest_version=job.dest_version,
        target_selection=job.target_selection.value,
        src_versions=job.src_versions,
        overwrite_mode=job.overwrite_mode,
        timeout_minutes=job.timeout_minutes,
        need_push=job.need_push,
        tags=[pb.Tag(key=tag.key, value=tag.value) for tag in job.tags],
        status=job.status.value,
        created_ms=job.created_ms,
        modified_ms=job.modified_ms,
        scheduled_ms=job.scheduled_ms,
        started_ms=job.started_ms,
        ended_ms=job.ended_ms,
    )


def task_message(task: Task) -> pb.Task:
    return pb.Task(
        task_id=task.task_id,
        job_id=task.job_id,
        firmware_id=task.firmware_id,
        product_key=task.product_key,
        device_name=task.device_name,
        iot_id=task.iot_id,
        src_version=task.src_version,
        dest_version=task.dest_version,
        status=task.status.value,
        description=task.description,
        progress=task.progress,
        timeout_minutes=task.timeout_minutes,
        created_ms=task.created_ms,
        modified_ms=task.modified_ms,
    )


def cancellation(request: pb.CancelTasksRequest) -> Cancellation:
    return Cancellation(request.scheduled, request.queued, request.notified, request.in_progress)
