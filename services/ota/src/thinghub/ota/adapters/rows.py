"""Rows of PostgreSQL as values."""

import asyncpg
import orjson

from thinghub.ota.domain.models import Firmware, Job, JobStatus, Selection, Tag, Task, TaskStatus

FIRMWARE = (
    "firmware_id, instance_id, name, description, product_key, module, dest_version, src_version, type, sign_method, "
    "sign, md5, size, key, need_to_verify, udi, created_ms, modified_ms"
)
JOB = (
    "job_id, instance_id, firmware_id, product_key, module, dest_version, target_selection, src_versions, "
    "overwrite_mode, timeout_minutes, need_push, tags, status, created_ms, modified_ms, scheduled_ms, started_ms, "
    "ended_ms"
)
TASK = (
    "task_id, job_id, firmware_id, product_key, device_name, iot_id, module, src_version, dest_version, status, "
    "description, progress, timeout_minutes, created_ms, modified_ms"
)
OPEN = "('QUEUED', 'NOTIFIED', 'IN_PROGRESS')"


def of_task(prefix: str) -> str:
    """The columns of TASK, each of that table."""
    return ", ".join(f"{prefix}.{column}" for column in TASK.split(", "))


def firmware(row: asyncpg.Record) -> Firmware:
    return Firmware(*(row[column] for column in FIRMWARE.split(", ")))


def firmware_values(firmware: Firmware) -> list[object]:
    return [getattr(firmware, column) for column in FIRMWARE.split(", ")]


def job(row: asyncpg.Record) -> Job:
    members = {column: row[column] for column in JOB.split(", ")}
    tags = tuple(Tag(one["key"], one["value"]) for one in orjson.loads(row["tags"]))
    return Job(
        **{
            **members,
            "target_selection": Selection(row["target_selection"]),
            "src_versions": tuple(row["src_versions"]),
            "status": JobStatus(row["status"]),
            "tags": tags,
        }
    )


def job_values(job: Job) -> list[object]:
    members: dict[str, object] = {column: getattr(job, column) for column in JOB.split(", ")}
    members["target_selection"] = job.target_selection.value
    members["status"] = job.status.value
    members["src_versions"] = list(job.src_versions)
    members["tags"] = orjson.dumps([{"key": tag.key, "value": tag.value} for tag in job.tags]).decode()
    return list(members.values())


def task(row: asyncpg.Record) -> Task:
    members = {column: row[column] for column in TASK.split(", ")}
    return Task(**{**members, "status": TaskStatus(row["status"])})
