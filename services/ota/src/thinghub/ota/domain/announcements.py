"""What ota says on `ota.data`."""

from dataclasses import dataclass
from typing import Literal

from thinghub.device_protocol import ota
from thinghub.ota.domain.models import DeviceId, Job, Task


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be; `device_name` is empty for what is about a job."""

    product_key: str
    device_name: str
    topic: str
    body: bytes
    at_ms: int


def result(task: Task) -> Draft:
    """The task has ended."""
    body = ota.result_body(
        iot_id=task.iot_id,
        product_key=task.product_key,
        device_name=task.device_name,
        status=task.status.value,
        src_version=task.src_version,
        dest_version=task.dest_version,
        desc=task.description,
        job_id=task.job_id,
        task_id=task.task_id,
        time_ms=task.modified_ms,
    )
    topic = ota.result_topic(task.product_key, task.device_name)
    return Draft(task.product_key, task.device_name, topic, body, task.modified_ms)


def version(device: DeviceId, iot_id: str, module: str, version: str, at_ms: int) -> Draft:
    """A module's version is another one than before."""
    product_key, device_name = device
    body = ota.version_body(
        iot_id=iot_id,
        product_key=product_key,
        device_name=device_name,
        module=module,
        version=version,
        time_ms=at_ms,
    )
    return Draft(product_key, device_name, ota.version_topic(product_key, device_name), body, at_ms)


def job(job: Job) -> Draft:
    """The job has this status now."""
    status: Literal["PLANNED", "IN_PROGRESS", "COMPLETED", "CANCELED"] = job.status.value
    body = ota.job_body(
        product_key=job.product_key,
        module=job.module,
        package_id=job.firmware_id,
        job_id=job.job_id,
        status=status,
        time_ms=job.modified_ms,
    )
    return Draft(
        job.product_key, "", ota.job_topic(job.product_key, job.firmware_id, job.job_id), body, job.modified_ms
    )
