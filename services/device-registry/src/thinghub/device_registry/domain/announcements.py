"""What the registry tells the rest of the platform, through the outbox."""

from dataclasses import dataclass
from enum import Enum

from thinghub.device_protocol.bodies import lifecycle_body, lifecycle_topic
from thinghub.device_protocol.message_ids import derive
from thinghub.device_protocol.records import Message
from thinghub.device_registry.domain.devices import DeviceId


class Lifecycle(Enum):
    CREATE = "create"
    DELETE = "delete"
    ENABLE = "enable"
    DISABLE = "disable"


@dataclass(frozen=True, slots=True)
class DeviceAnnounced:
    """A device was created, deleted, enabled or disabled."""

    device: DeviceId
    action: Lifecycle
    iot_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class PolicyAnnounced:
    """A product's policy changed, began or ended."""

    product_key: str


@dataclass(frozen=True, slots=True)
class ThingModelAnnounced:
    """A product's thing model was published."""

    product_key: str
    version: int


Announcement = DeviceAnnounced | PolicyAnnounced | ThingModelAnnounced


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    id: int
    announcement: Announcement


def lifecycle_message(entry_id: int, announced: DeviceAnnounced) -> Message:
    """Platform origin: no epoch. The id is derived from the outbox entry, so that telling twice repeats it. The body
    names no secret, on create neither: the contract's own example leaves it empty, and the bus is no place for it."""
    device = announced.device
    body = lifecycle_body(
        announced.action.value,
        product_key=device.product_key,
        device_name=device.device_name,
        iot_id=announced.iot_id,
        time_ms=announced.at_ms,
    )
    return Message(
        id=derive(announced.at_ms, f"lifecycle/{entry_id}/{device.product_key}/{device.device_name}"),
        product_key=device.product_key,
        device_name=device.device_name,
        topic=lifecycle_topic(device.product_key, device.device_name),
        payload=body,
        received_ms=announced.at_ms,
        qos=1,
    )
