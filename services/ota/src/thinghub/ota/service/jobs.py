"""Upgrade jobs as the API sees them."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thinghub.ota.domain.models import (
    DIFFERENCE,
    KEEP,
    REPLACE,
    DeviceId,
    Firmware,
    Job,
    JobStatus,
    Selection,
    Tag,
    Target,
    TaskStatus,
)
from thinghub.ota.errors import JobNotFound, OtaRequestInvalid, OtaUnsupported
from thinghub.ota.ports.others import Registry
from thinghub.ota.ports.store import Jobs, TaskFilter, TaskPage
from thinghub.ota.service.firmware import FirmwareService

UNSUPPORTED = ("GRAY", "GROUP")
MAX_TARGETS, MAX_SRC_VERSIONS, MAX_TAGS = 200, 10, 10
MAX_TIMEOUT_MINUTES = 1440
MAX_AHEAD_MS = 7 * 24 * 3600 * 1000
DEFAULT_PAGE, MAX_PAGE, MAX_OFFSET = 10, 200, 10_000_000


@dataclass(frozen=True, slots=True)
class JobWish:
    """A job as it is asked for."""

    instance_id: str
    firmware_id: str
    product_key: str
    target_selection: str
    device_names: Sequence[str]
    src_versions: tuple[str, ...]
    overwrite_mode: int
    timeout_minutes: int
    need_push: bool
    tags: tuple[tuple[str, str], ...]
    scheduled_ms: int


@dataclass(frozen=True, slots=True)
class Cancellation:
    scheduled: bool
    queued: bool
    notified: bool
    in_progress: bool

    @property
    def statuses(self) -> list[TaskStatus]:
        chosen = (
            (self.queued, TaskStatus.QUEUED),
            (self.notified, TaskStatus.NOTIFIED),
            (self.in_progress, TaskStatus.IN_PROGRESS),
        )
        return [status for wanted, status in chosen if wanted]


class JobService:
    """`wake` is called when there is something new to roll out."""

    def __init__(
        self,
        jobs: Jobs,
        firmware: FirmwareService,
        registry: Registry,
        clock_ms: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._jobs = jobs
        self._firmware = firmware
        self._registry = registry
        self._clock_ms = clock_ms
        self._wake = wake

    async def create(self, wish: JobWish) -> Job:
        firmware = await self._firmware.get(wish.instance_id, wish.firmware_id)
        instance = await self._registry.instance_of(wish.instance_id, wish.product_key)
        if firmware.product_key not in ("", wish.product_key):
            raise OtaRequestInvalid("the firmware is for another product")
        job = _job(wish, firmware, instance, self._clock_ms())
        targets = await self._targets(job, wish.device_names) if job.target_selection is Selection.SPECIFIC else None
        await self._jobs.add(job, targets)
        self._wake()
        return job

    async def get(self, instance_id: str, job_id: str) -> Job:
        found = await self._jobs.find(instance_id, job_id)
        if found is None:
            raise JobNotFound(f"there is no job {job_id[:64]!r}")
        return found

    async def tasks(
        self, instance_id: str, job_id: str, status: str, device_names: Sequence[str], token: str, page: int, size: int
    ) -> TaskPage:
        await self.get(instance_id, job_id)
        page, size = page or 1, size or DEFAULT_PAGE
        if page < 1 or not 1 <= size <= MAX_PAGE or (page - 1) * size > MAX_OFFSET:
            raise OtaRequestInvalid(f"pages are numbered from 1 and have 1 to {MAX_PAGE} entries")
        if status and status not in TaskStatus.__members__:
            raise OtaRequestInvalid(f"TaskStatus is one of {', '.join(TaskStatus)}")
        return await self._jobs.tasks(job_id, TaskFilter(status, device_names, token, (page - 1) * size, size))

    async def cancel(self, instance_id: str, job_id: str, what: Cancellation) -> int:
        await self.get(instance_id, job_id)
        if not what.scheduled and not what.statuses:
            raise OtaRequestInvalid("say which tasks are to be cancelled, by at least one of the five members")
        canceled = await self._jobs.cancel(job_id, what.statuses, what.scheduled, self._clock_ms())
        self._wake()
        return canceled

    async def _targets(self, job: Job, names: Sequence[str]) -> list[Target]:
        devices = [DeviceId(job.product_key, name) for name in dict.fromkeys(names)]
        found = await self._registry.find(devices)
        missing = [device.device_name for device in devices if device not in found]
        if missing:
            raise OtaRequestInvalid(f"there is no device {missing[0][:64]!r} in the product")
        return [Target(device.device_name, found[device]) for device in devices]


def _job(wish: JobWish, firmware: Firmware, instance_id: str, now: int) -> Job:
    """Raises OtaRequestInvalid."""
    specific = wish.target_selection == Selection.SPECIFIC
    if wish.target_selection in UNSUPPORTED:
        raise OtaUnsupported(f"TargetSelection {wish.target_selection} is not supported: use ALL or SPECIFIC")
    if wish.target_selection not in Selection.__members__:
        raise OtaRequestInvalid("TargetSelection is ALL or SPECIFIC")
    if specific and not 1 <= len(wish.device_names) <= MAX_TARGETS:
        raise OtaRequestInvalid(f"SPECIFIC needs 1 to {MAX_TARGETS} TargetDeviceName")
    if not specific and wish.device_names:
        raise OtaRequestInvalid("TargetDeviceName goes with TargetSelection SPECIFIC")
    if len(wish.src_versions) > MAX_SRC_VERSIONS or not all(0 < len(one) <= 64 for one in wish.src_versions):
        raise OtaRequestInvalid(f"there are at most {MAX_SRC_VERSIONS} SrcVersion of 1 to 64 characters")
    if wish.overwrite_mode not in (0, KEEP, REPLACE):
        raise OtaRequestInvalid("OverwriteMode is 1 (keep an unfinished task) or 2 (replace it)")
    if not 0 <= wish.timeout_minutes <= MAX_TIMEOUT_MINUTES:
        raise OtaRequestInvalid(f"TimeoutInMinutes is 1 to {MAX_TIMEOUT_MINUTES}")
    if wish.scheduled_ms and not 0 < wish.scheduled_ms <= now + MAX_AHEAD_MS:
        raise OtaRequestInvalid("ScheduleTime is at most seven days ahead")
    if len(wish.tags) > MAX_TAGS:
        raise OtaRequestInvalid(f"there are at most {MAX_TAGS} tags")
    return Job(
        job_id=secrets.token_hex(16),
        instance_id=instance_id,
        firmware_id=firmware.firmware_id,
        product_key=wish.product_key,
        module=firmware.module,
        dest_version=firmware.dest_version,
        target_selection=Selection(wish.target_selection),
        src_versions=_sources(wish, firmware),
        overwrite_mode=wish.overwrite_mode or KEEP,
        timeout_minutes=wish.timeout_minutes,
        need_push=wish.need_push,
        tags=tuple(_tags(wish)),
        status=JobStatus.PLANNED if wish.scheduled_ms > now else JobStatus.IN_PROGRESS,
        created_ms=now,
        modified_ms=now,
        scheduled_ms=wish.scheduled_ms,
        started_ms=0 if wish.scheduled_ms > now else now,
    )


def _sources(wish: JobWish, firmware: Firmware) -> tuple[str, ...]:
    """A difference goes to devices that have what it applies to, and to no others."""
    if firmware.type == DIFFERENCE:
        return (firmware.src_version,)
    return wish.src_versions


def _tags(wish: JobWish) -> list[Tag]:
    for key, value in wish.tags:
        if not 0 < len(key) <= 30 or len(value) > 1024:
            raise OtaRequestInvalid("a tag's key has 1 to 30 characters, its value at most 1024")
    return [Tag(key, value) for key, value in wish.tags]
