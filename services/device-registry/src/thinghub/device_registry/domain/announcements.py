"""What the registry tells the rest of the platform, through the outbox."""

from dataclasses import dataclass
from enum import Enum

import orjson

from thinghub.device_protocol.bodies import lifecycle_body, lifecycle_topic, topology_body, topology_topic
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
class TopologyAnnounced:
    """Devices came behind a gateway, left it, or were enabled or disabled there. `members` is a JSON array of them, as
    the message has it."""

    gateway: DeviceId
    action: Lifecycle
    iot_id: str
    at_ms: int
    members: str


@dataclass(frozen=True, slots=True)
class PolicyAnnounced:
    """A product's policy changed, began or ended."""

    product_key: str


@dataclass(frozen=True, slots=True)
class ThingModelAnnounced:
    """A product's thing model was published."""

    product_key: str
    version: int


Announcement = DeviceAnnounced | TopologyAnnounced | PolicyAnnounced | ThingModelAnnounced


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


def topology_message(entry_id: int, announced: TopologyAnnounced) -> Message:
    """Of the gateway, as `lifecycle_message`."""
    gateway = announced.gateway
    body = topology_body(
        announced.action.value,
        gateway_key=gateway.product_key,
        gateway_name=gateway.device_name,
        gateway_iot_id=announced.iot_id,
        devices=orjson.loads(announced.members),
        time_ms=announced.at_ms,
    )
    return Message(
        id=derive(announced.at_ms, f"topology/{entry_id}/{gateway.product_key}/{gateway.device_name}"),
        product_key=gateway.product_key,
        device_name=gateway.device_name,
        topic=topology_topic(gateway.product_key, gateway.device_name),
        payload=body,
        received_ms=announced.at_ms,
        qos=1,
    )
