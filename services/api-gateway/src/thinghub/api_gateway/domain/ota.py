"""What the operations on firmware and upgrade jobs speak of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UploadPlace:
    host: str
    key: str
    policy: str
    access_key_id: str
    signature: str
    firmware_url: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Firmware:
    """`url` is where it was uploaded when it is created, and a signed download when it is read."""

    firmware_id: str = ""
    instance_id: str = ""
    name: str = ""
    description: str = ""
    product_key: str = ""
    module: str = ""
    dest_version: str = ""
    src_version: str = ""
    type: int = 0
    sign_method: str = ""
    sign: str = ""
    size: int = 0
    url: str = ""
    need_to_verify: bool = False
    udi: str = ""
    created_ms: int = 0
    modified_ms: int = 0


@dataclass(frozen=True, slots=True)
class UpgradeJob:
    job_id: str = ""
    firmware_id: str = ""
    product_key: str = ""
    module: str = ""
    dest_version: str = ""
    target_selection: str = ""
    src_versions: tuple[str, ...] = ()
    overwrite_mode: int = 1
    timeout_minutes: int = 0
    need_push: bool = True
    tags: tuple[tuple[str, str], ...] = ()
    status: str = ""
    created_ms: int = 0
    modified_ms: int = 0
    scheduled_ms: int = 0
    started_ms: int = 0
    ended_ms: int = 0


@dataclass(frozen=True, slots=True)
class UpgradeTask:
    task_id: str
    job_id: str
    firmware_id: str
    product_key: str
    device_name: str
    iot_id: str
    src_version: str
    dest_version: str
    status: str
    description: str
    progress: int
    timeout_minutes: int
    created_ms: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Empty members do not filter; `next_token` wins over `page`, which counts from 1."""

    job_id: str
    status: str
    device_names: tuple[str, ...]
    next_token: str
    page: int
    page_size: int


@dataclass(frozen=True, slots=True)
class Cancellation:
    scheduled: bool
    queued: bool
    notified: bool
    in_progress: bool
