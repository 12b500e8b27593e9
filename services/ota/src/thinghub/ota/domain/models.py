"""Firmware, jobs and tasks.

    job    PLANNED ──time──> IN_PROGRESS ──every task ended──> COMPLETED, or CANCELED when a cancellation ended the last
    task   QUEUED ──pushed, or asked for──> NOTIFIED ──progress──> IN_PROGRESS ──target version informed──> SUCCEEDED
           any of the three ──negative step, timeout──> FAILED, ──cancelled, replaced, device deleted──> CANCELED

Only the version that a device informs makes a task succeed: a progress of 100 does not. A version other than the target
leaves the task as it is, because a device names its version at every start, also before it begins the upgrade.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

DEFAULT_MODULE = "default"
DIFFERENCE = 1
KEEP, REPLACE = 1, 2  # overwrite modes


class DeviceId(NamedTuple):
    product_key: str
    device_name: str


class TaskStatus(StrEnum):
    QUEUED = "QUEUED"
    NOTIFIED = "NOTIFIED"
    IN_PROGRESS = "IN_PROGRESS"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


OPEN = (TaskStatus.QUEUED, TaskStatus.NOTIFIED, TaskStatus.IN_PROGRESS)


class JobStatus(StrEnum):
    PLANNED = "PLANNED"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


class Selection(StrEnum):
    ALL = "ALL"
    SPECIFIC = "SPECIFIC"


@dataclass(frozen=True, slots=True)
class Package:
    """What lies in the store under `key`; digests are lower-case hex."""

    key: str
    size: int
    md5: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Firmware:
    firmware_id: str
    instance_id: str
    name: str
    description: str
    product_key: str
    module: str
    dest_version: str
    src_version: str
    type: int
    sign_method: str
    sign: str
    md5: str
    size: int
    key: str
    need_to_verify: bool
    udi: str
    created_ms: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class Tag:
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Job:
    """`timeout_minutes` 0 is none; `scheduled_ms` 0 is at once."""

    job_id: str
    instance_id: str
    firmware_id: str
    product_key: str
    module: str
    dest_version: str
    target_selection: Selection
    src_versions: tuple[str, ...]
    overwrite_mode: int
    timeout_minutes: int
    need_push: bool
    tags: tuple[Tag, ...]
    status: JobStatus
    created_ms: int
    modified_ms: int
    scheduled_ms: int
    started_ms: int = 0
    ended_ms: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    task_id: str
    job_id: str
    firmware_id: str
    product_key: str
    device_name: str
    iot_id: str
    module: str
    src_version: str
    dest_version: str
    status: TaskStatus
    description: str
    progress: int
    timeout_minutes: int
    created_ms: int
    modified_ms: int

    @property
    def device(self) -> DeviceId:
        return DeviceId(self.product_key, self.device_name)


@dataclass(frozen=True, slots=True)
class Target:
    """A device that a job is for."""

    device_name: str
    iot_id: str


@dataclass(frozen=True, slots=True)
class Due:
    """A task whose device is to be told, with its firmware; `claimed_ms` is the claim to be given up afterwards."""

    task: Task
    firmware: Firmware
    claimed_ms: int
