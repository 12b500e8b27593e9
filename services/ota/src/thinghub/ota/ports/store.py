"""What ota keeps in PostgreSQL. Every method raises StoreUnavailable when it cannot be reached."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from thinghub.ota.domain.models import DeviceId, Due, Firmware, Job, Package, Target, Task, TaskStatus


@dataclass(frozen=True, slots=True)
class Upload:
    """`package` is None until one is there."""

    key: str
    instance_id: str
    package: Package | None
    taken: bool


class Uploads(Protocol):
    async def signing_key(self, candidate: bytes) -> bytes:
        """The one key of all replicas; `candidate` becomes it when there is none."""

    async def add(self, key: str, instance_id: str, now_ms: int) -> None: ...
    async def find(self, key: str) -> Upload | None: ...
    async def stored(self, package: Package, now_ms: int) -> bool:
        """Notes what lies there now; False when the key is unknown or belongs to a firmware."""


class Firmwares(Protocol):
    async def add(self, firmware: Firmware) -> bool:
        """False when the package belongs to a firmware already."""

    async def find(self, instance_id: str, firmware_id: str) -> Firmware | None: ...


@dataclass(frozen=True, slots=True)
class TaskPage:
    tasks: Sequence[Task]
    total: int
    next_token: str


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Empty members do not filter. `after` is a device name and wins over `offset`."""

    status: str
    device_names: Sequence[str]
    after: str
    offset: int
    size: int


class Jobs(Protocol):
    async def add(self, job: Job, targets: Sequence[Target] | None) -> None:
        """With its tasks when the targets are known, in one transaction."""

    async def find(self, instance_id: str, job_id: str) -> Job | None: ...
    async def tasks(self, job_id: str, wanted: TaskFilter) -> TaskPage: ...
    async def cancel(self, job_id: str, statuses: Sequence[TaskStatus], scheduled: bool, now_ms: int) -> int:
        """Cancels the job's tasks in these statuses; with `scheduled` also what has not begun. How many."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """A job whose devices have not all got their tasks; `cursor` is the registry's page token."""

    job: Job
    cursor: str


class Rollout(Protocol):
    """The work that moves jobs on. Any number of processes may do it at once."""

    async def begin(self, now_ms: int) -> int:
        """Begins the planned jobs whose time has come; how many."""

    async def to_expand(self) -> Expansion | None: ...
    async def expand(self, expansion: Expansion, targets: Sequence[Target], cursor: str, now_ms: int) -> None:
        """Adds tasks; an empty cursor says that these were the last. Nothing happens if another was faster."""

    async def claim(self, now_ms: int, until_ms: int, limit: int) -> Sequence[Due]:
        """Tasks whose devices are to be told now; nobody else gets them before `until_ms`."""

    async def pushed(self, due: Sequence[Due], now_ms: int) -> None:
        """The devices were told: NOTIFIED, and the time allowed begins."""

    async def push_later(self, due: Sequence[Due], at_ms: int | None) -> None:
        """Not told: again at that time, or when the device comes online. What changed meanwhile stays."""

    async def expire(self, now_ms: int, limit: int) -> int:
        """Fails tasks whose time is over; how many."""

    async def settle(self, now_ms: int) -> int:
        """Ends jobs of which every task has ended; how many."""


@dataclass(frozen=True, slots=True)
class Informed:
    device: DeviceId
    epoch: int
    sequence: int
    module: str
    version: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Progressed:
    """`module` is empty when the device names none."""

    device: DeviceId
    epoch: int
    sequence: int
    module: str
    step: int
    desc: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Online:
    device: DeviceId
    epoch: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The device was deleted; `iot_id` says which device of that name."""

    device: DeviceId
    iot_id: str
    at_ms: int


Event = Informed | Progressed | Online | Gone


class Reports(Protocol):
    """What devices say. A report at or below what came last of the device changes nothing."""

    async def known(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, str]:
        """IotIds of the devices that are known here."""

    async def learn(self, devices: Mapping[DeviceId, str]) -> None: ...
    async def apply(self, events: Sequence[Event], resend_ms: int) -> None:
        """In order, in one transaction; `resend_ms` is what a device that returns in the middle of an upgrade gets to
        name its version before it is told again. Devices that are not known are passed over."""

    async def open_task(self, device: DeviceId, module: str) -> Due | None:
        """The unfinished task of the device, and of the module unless that is empty."""

    async def asked(self, task: Task, now_ms: int) -> None:
        """The device asked and is told: as if it had been pushed."""


@dataclass(frozen=True, slots=True)
class Announcement:
    id: int
    product_key: str
    device_name: str
    topic: str
    body: bytes
    at_ms: int


class Outbox(Protocol):
    def taking(self, limit: int) -> AbstractAsyncContextManager[Sequence[Announcement]]:
        """The oldest announcements, deleted when the context ends well. One process at a time gets any."""
