"""Rows of PostgreSQL as values, and back."""

from dataclasses import asdict

import asyncpg
import orjson

from thinghub.device_registry.domain.announcements import (
    Announcement,
    DeviceAnnounced,
    Lifecycle,
    OutboxEntry,
    PolicyAnnounced,
    ThingModelAnnounced,
    TopologyAnnounced,
)
from thinghub.device_registry.domain.devices import Device, DeviceId, DeviceStatus
from thinghub.device_registry.domain.products import LimitMode, Limits, Product
from thinghub.device_registry.domain.topic_classes import Operation, TopicClass

PRODUCT = (
    "product_key, instance_id, name, description, node_type, data_format, auth_type, net_type, protocol_type, "
    "category_key, commodity_code, validate_type, id2, lane, not_stored, limits, status, created_ms"
)
DEVICE = (
    "d.product_key, d.device_name, d.iot_id, d.nickname, d.disabled, d.created_ms, d.modified_ms, d.sn, "
    "s.online, s.activated_ms, s.last_online_ms, s.client_address, s.epoch, "
    "p.name AS product_name, p.node_type, p.instance_id"
)
DEVICE_FROM = (
    "device d JOIN product p ON p.product_key = d.product_key "
    "LEFT JOIN device_status s ON s.product_key = d.product_key AND s.device_name = d.device_name"
)
POLICY_ACTION = "policy"
MODEL_ACTION = "thing model"
TOPOLOGY_ACTION = "topology "  # and the action


def limits_text(limits: Limits) -> str:
    """JSON; members that are added later default when old rows lack them."""
    return orjson.dumps({**asdict(limits), "mode": limits.mode.value}).decode()


def limits(text: str) -> Limits:
    members = orjson.loads(text)
    return Limits(**{**members, "mode": LimitMode(members.get("mode", LimitMode.ENFORCE.value))})


def product_values(product: Product) -> tuple[object, ...]:
    """In the order of PRODUCT."""
    return (
        product.key,
        product.instance_id,
        product.name,
        product.description,
        product.node_type,
        product.data_format,
        product.auth_type,
        product.net_type,
        product.protocol_type,
        product.category_key,
        product.commodity_code,
        product.validate_type,
        product.id2,
        product.lane,
        product.not_stored,
        limits_text(product.limits),
        product.status,
        product.created_ms,
    )


def product(row: asyncpg.Record) -> Product:
    return Product(
        row["product_key"],
        row["instance_id"],
        row["name"],
        row["description"],
        row["node_type"],
        row["data_format"],
        row["auth_type"],
        row["net_type"],
        row["protocol_type"],
        row["category_key"],
        row["commodity_code"],
        row["validate_type"],
        row["id2"],
        row["lane"],
        row["not_stored"],
        limits(row["limits"]),
        row["status"],
        row["created_ms"],
    )


def topic_class(row: asyncpg.Record) -> TopicClass:
    return TopicClass(
        row["topic_id"],
        row["product_key"],
        row["short_name"],
        Operation(row["operation"]),
        row["description"],
        row["codec"],
        row["proxy_subscribe"],
    )


def device(row: asyncpg.Record) -> Device:
    status = DeviceStatus()
    if row["epoch"] is not None:
        status = DeviceStatus(
            row["online"], row["activated_ms"], row["last_online_ms"], row["client_address"], row["epoch"]
        )
    return Device(
        DeviceId(row["product_key"], row["device_name"]),
        row["iot_id"],
        row["nickname"],
        row["disabled"],
        row["created_ms"],
        row["modified_ms"],
        status,
        row["product_name"],
        row["node_type"],
        row["instance_id"],
        row["sn"],
    )


def announcement_values(announcement: Announcement) -> tuple[object, ...]:
    """product_key, device_name, action, iot_id, at_ms. Topology is announced by a statement of its own."""
    if isinstance(announcement, PolicyAnnounced):
        return announcement.product_key, "", POLICY_ACTION, "", 0
    if isinstance(announcement, ThingModelAnnounced):
        # The row's number is the version: nobody needs the time.
        return announcement.product_key, "", MODEL_ACTION, "", announcement.version
    if isinstance(announcement, TopologyAnnounced):
        raise TypeError("topology is announced with the change that is written")
    device = announcement.device
    return device.product_key, device.device_name, announcement.action.value, announcement.iot_id, announcement.at_ms


def outbox_entry(row: asyncpg.Record) -> OutboxEntry:
    if row["action"] == POLICY_ACTION:
        return OutboxEntry(row["id"], PolicyAnnounced(row["product_key"]))
    if row["action"] == MODEL_ACTION:
        return OutboxEntry(row["id"], ThingModelAnnounced(row["product_key"], row["at_ms"]))
    device = DeviceId(row["product_key"], row["device_name"])
    if row["action"].startswith(TOPOLOGY_ACTION):
        action = Lifecycle(row["action"].removeprefix(TOPOLOGY_ACTION))
        return OutboxEntry(row["id"], TopologyAnnounced(device, action, row["iot_id"], row["at_ms"], row["members"]))
    return OutboxEntry(row["id"], DeviceAnnounced(device, Lifecycle(row["action"]), row["iot_id"], row["at_ms"]))
