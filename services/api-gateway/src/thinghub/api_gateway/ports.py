"""The owners this service calls, as small as its operations need them.

Every method raises the owner's fault (`thinghub.common.errors.Fault`), or Unavailable when the owner cannot be reached
in time. An empty `instance_id` means every instance.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from thinghub.api_gateway.domain.audit import AuditCall, AuditQuery, AuditRecord
from thinghub.api_gateway.domain.dead_letters import DeadLetter, DeadLetterQuery, Redrive, Redriven
from thinghub.api_gateway.domain.master_keys import MasterKeyUse
from thinghub.api_gateway.domain.ota import (
    Cancellation,
    Firmware,
    TaskQuery,
    UpgradeJob,
    UpgradeTask,
    UploadPlace,
)
from thinghub.api_gateway.domain.rotation import SecretRotation
from thinghub.api_gateway.domain.support import Known
from thinghub.api_gateway.domain.values import (
    AccessKey,
    Application,
    Broadcast,
    Caller,
    DesiredProperty,
    Device,
    DeviceCounts,
    DeviceId,
    DeviceRef,
    DeviceStatus,
    Downlink,
    EventData,
    Instance,
    Limits,
    NamedSecret,
    NewDevice,
    Outcome,
    Policy,
    Product,
    PropertyStatus,
    PropertyValue,
    Reached,
    RefusedDevice,
    Reply,
    Role,
    Rule,
    RuleAction,
    ServiceCall,
    Session,
    Signature,
    Span,
    SubDeviceProof,
    ThingModelVersion,
    Token,
    TopicClass,
    WantedDevice,
)


class Callers(Protocol):
    async def by_signature(self, signature: Signature) -> Caller: ...
    async def by_basic(self, access_key_id: str, access_key_secret: str) -> Caller: ...
    async def by_token(self, token: str) -> Caller: ...
    async def issue_token(self, access_key_id: str, lifetime_seconds: int) -> Token: ...


class AccessKeys(Protocol):
    async def create(
        self, role: Role, instance_id: str, description: str, access_key_id: str, access_key_secret: str
    ) -> tuple[AccessKey, str]:
        """The key and its secret, generated unless both were given."""

    async def list(self, after: str, limit: int) -> Sequence[AccessKey]: ...
    async def delete(self, access_key_id: str) -> None: ...


class DeviceSecrets(Protocol):
    async def rotate(self, device: DeviceId, secret: str, overlap_ms: int) -> tuple[str, SecretRotation]:
        """The new secret, generated unless given."""

    async def finish(self, device: DeviceId, keep_former: bool) -> SecretRotation: ...
    async def rotation(self, device: DeviceId) -> SecretRotation: ...


class MasterKeys(Protocol):
    async def list(self) -> Sequence[MasterKeyUse]:
        """The active one first."""


class Audit(Protocol):
    async def begin(self, call: AuditCall) -> int:
        """The record's id, once it is stored."""

    async def finish(self, record_id: int, code: str, made: Mapping[str, str]) -> None: ...
    async def list(self, query: AuditQuery) -> Sequence[AuditRecord]:
        """Newest first."""


class Secrets(Protocol):
    async def put(self, instance_id: str, name: str, value: str) -> int:
        """The new version."""

    async def list(self, instance_id: str, after: str, limit: int) -> Sequence[NamedSecret]: ...
    async def delete(self, instance_id: str, name: str) -> None: ...


class Instances(Protocol):
    async def create(self, instance_id: str, name: str) -> Instance: ...
    async def list(self, after: str, limit: int) -> Sequence[Instance]: ...


class Products(Protocol):
    async def create(self, product: Product) -> Product: ...
    async def get(self, instance_id: str, product_key: str, with_secret: bool) -> Product: ...
    async def list(
        self, instance_id: str, commodity_code: str, page: int, page_size: int
    ) -> tuple[Sequence[Product], int]:
        """One page and the total."""

    async def delete(self, instance_id: str, product_key: str) -> None: ...
    async def set_limits(self, instance_id: str, product_key: str, limits: Limits) -> int:
        """The new policy version."""

    async def policy(self, product_key: str) -> Policy:
        """Answered while the owner's database is away."""


class Devices(Protocol):
    async def register(self, device: NewDevice) -> Device: ...
    async def get(self, instance_id: str, refs: Sequence[DeviceRef], with_secrets: bool) -> Sequence[Device | None]:
        """One a reference, in order."""

    async def list(
        self, instance_id: str, product_key: str, next_token: str, page: int, page_size: int, with_secrets: bool
    ) -> tuple[Sequence[Device], int, str]:
        """One page, the total and the next page's token."""

    async def set_enabled(self, instance_id: str, ref: DeviceRef, enabled: bool) -> None: ...
    async def delete(self, instance_id: str, ref: DeviceRef) -> None: ...


class Applications(Protocol):
    """Many devices at once."""

    async def check(
        self, instance_id: str, product_key: str, wanted: Sequence[WantedDevice]
    ) -> tuple[int, Sequence[RefusedDevice]]:
        """The id of a stored application, and what cannot be made."""

    async def count(self, instance_id: str, product_key: str, count: int) -> int: ...
    async def start(self, instance_id: str, product_key: str, apply_id: int) -> None: ...
    async def get(self, instance_id: str, product_key: str, apply_id: int) -> Application: ...

    async def devices(
        self, instance_id: str, apply_id: int, page: int, page_size: int, with_secrets: bool
    ) -> tuple[Sequence[Device], int]:
        """One page of what was made, and how many were."""

    async def import_devices(
        self, instance_id: str, product_key: str, wanted: Sequence[WantedDevice]
    ) -> tuple[int, Sequence[RefusedDevice]]: ...

    async def by_status(
        self, instance_id: str, product_key: str, status: DeviceStatus, page: int, page_size: int, with_secrets: bool
    ) -> tuple[Sequence[Device], int]: ...

    async def statistics(self, instance_id: str, product_key: str) -> DeviceCounts:
        """Of a product, or with an empty key of the instance."""


class Tags(Protocol):
    """Tags of devices."""

    async def save(self, instance_id: str, ref: DeviceRef, tags: Mapping[str, str]) -> None: ...

    async def get(self, instance_id: str, ref: DeviceRef) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The user's, and what the SDK reported."""

    async def delete(self, instance_id: str, ref: DeviceRef, key: str) -> None: ...


class Topology(Protocol):
    """Sub-devices behind gateways."""

    async def sub_devices(
        self, instance_id: str, gateway: DeviceRef, page: int, page_size: int
    ) -> tuple[Sequence[Device], int]:
        """One page and the total."""

    async def gateway_of(self, instance_id: str, ref: DeviceRef) -> Device: ...
    async def remove(self, instance_id: str, ref: DeviceRef) -> None: ...

    async def add(self, instance_id: str, gateway: DeviceRef, proofs: Sequence[SubDeviceProof]) -> None: ...

    async def notify_add(
        self, instance_id: str, gateway: DeviceRef, devices: Sequence[DeviceId], message_id: int
    ) -> None: ...


class TopicClasses(Protocol):
    async def create(self, instance_id: str, topic_class: TopicClass) -> int:
        """The topic class id."""

    async def list(self, instance_id: str, product_key: str) -> Sequence[TopicClass]: ...


class ThingModels(Protocol):
    """`module` empty: the default module, or the whole thing model."""

    async def import_tsl(self, instance_id: str, product_key: str, tsl: str, module: str, module_name: str) -> None: ...
    async def add(self, instance_id: str, product_key: str, functions: str, module: str, module_name: str) -> None: ...
    async def publish(self, instance_id: str, product_key: str, model_version: str, description: str) -> None: ...
    async def get(
        self, instance_id: str, product_key: str, published: bool, model_version: str, module: str, simple: bool
    ) -> str:
        """TSL as text."""

    async def versions(self, instance_id: str, product_key: str) -> Sequence[ThingModelVersion]:
        """Newest first."""


class Things(Protocol):
    async def latest(self, device: DeviceId, module: str) -> Sequence[PropertyStatus]: ...
    async def values(self, device: DeviceId, identifier: str, span: Span) -> tuple[Sequence[PropertyValue], int]:
        """And the time to go on with, 0 for none."""

    async def events(self, device: DeviceId, identifier: str, kind: str, span: Span) -> tuple[Sequence[EventData], int]:
        """The same of events; empty: every one."""

    async def set(self, device: DeviceId, items: str, qos: int) -> str:
        """The id of the message that was sent."""


class ThingCalls(Protocol):
    async def invoke(self, device: DeviceId, identifier: str, arguments: str, qos: int) -> tuple[str, str]:
        """The id of the message that was sent, and what a synchronous service gave: JSON, empty for none."""

    async def invoke_many(
        self, product_key: str, device_names: Sequence[str], identifier: str, arguments: str, qos: int
    ) -> None: ...
    async def set_many(self, product_key: str, device_names: Sequence[str], items: str, qos: int) -> None: ...
    async def find(self, device: DeviceId, identifier: str, span: Span) -> tuple[Sequence[ServiceCall], int]:
        """And the time to go on with, 0 for none; empty: every service."""


class Desired(Protocol):
    async def set(self, device: DeviceId, items: str, versions: str) -> tuple[str, Mapping[str, int]]:
        """The id of the message that was sent, and the versions now; both texts are JSON objects."""

    async def get(self, device: DeviceId, identifiers: Sequence[str], module: str) -> Sequence[DesiredProperty]:
        """One an identifier, in order; without any, one a property of the module."""

    async def clear(self, device: DeviceId, identifiers: Sequence[str]) -> Mapping[str, int]:
        """The versions."""


class Histories(Protocol):
    async def several(
        self, device: DeviceId, identifiers: Sequence[str], span: Span
    ) -> tuple[Sequence[tuple[str, Sequence[PropertyValue]]], int]:
        """One an identifier, in order, and the time to go on with, 0 for none."""

    async def retention(self, product_key: str) -> tuple[int, bool]:
        """Days, and whether they are the product's own."""

    async def retain(self, product_key: str, days: int) -> int:
        """The days that are kept now; 0 asks for the platform's."""


class Gateways(Protocol):
    async def deliver(self, messages: Sequence[Downlink], wait_ms: int) -> Sequence[Outcome]:
        """One a message, in order; waits so long for a QoS 1 acknowledgement."""

    async def request(self, device: DeviceId, payload: bytes, topic: str, timeout_ms: int) -> Reply: ...
    async def broadcast(self, broadcast: Broadcast) -> Reached: ...

    async def sessions(self, devices: Sequence[DeviceId]) -> Sequence[Session]:
        """One a device, in order."""

    async def explain(self, devices: Sequence[DeviceId]) -> Sequence[Known]:
        """One a device, in order."""


class Rules(Protocol):
    async def create(self, rule: Rule) -> Rule: ...
    async def get(self, instance_id: str, rule_id: int) -> Rule: ...
    async def list(self, instance_id: str, page: int, page_size: int) -> tuple[Sequence[Rule], int]: ...
    async def delete(self, instance_id: str, rule_id: int) -> None: ...
    async def start(self, instance_id: str, rule_id: int) -> None: ...
    async def stop(self, instance_id: str, rule_id: int) -> None: ...
    async def create_action(self, instance_id: str, action: RuleAction) -> int: ...
    async def list_actions(self, instance_id: str, rule_id: int) -> Sequence[RuleAction]: ...
    async def delete_action(self, instance_id: str, action_id: int) -> None: ...


class DeadLetters(Protocol):
    async def page(self, query: DeadLetterQuery) -> Sequence[DeadLetter]:
        """Newest first."""

    async def get(self, instance_id: str, dead_letter_id: int) -> tuple[DeadLetter, bytes]:
        """With its result, JSON."""

    async def redrive(self, redrive: Redrive) -> Redriven: ...


class Shadows(Protocol):
    async def get(self, device: DeviceId) -> str:
        """The document, JSON, as a device is answered."""

    async def update(self, device: DeviceId, document: str, delta: bool) -> int:
        """The new version."""


class Ota(Protocol):
    async def create_upload(self, instance_id: str, suffix: str) -> UploadPlace: ...
    async def create_firmware(self, firmware: Firmware) -> Firmware: ...
    async def firmware(self, instance_id: str, firmware_id: str) -> Firmware: ...
    async def create_job(self, instance_id: str, job: UpgradeJob, device_names: Sequence[str]) -> UpgradeJob: ...
    async def job(self, instance_id: str, job_id: str) -> UpgradeJob: ...
    async def tasks(self, instance_id: str, query: TaskQuery) -> tuple[Sequence[UpgradeTask], int, str]:
        """One page, the total and the next page's token."""

    async def cancel(self, instance_id: str, job_id: str, what: Cancellation) -> int:
        """How many tasks were cancelled."""


class MessageIdSource(Protocol):
    def next(self) -> int:
        """A positive 63-bit id that no other process makes. Raises Unavailable while no worker id is held."""
