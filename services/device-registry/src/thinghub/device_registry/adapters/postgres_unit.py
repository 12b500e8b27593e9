"""One transaction of the registry."""

from collections.abc import Sequence

import asyncpg

from thinghub.device_registry.adapters import rows
from thinghub.device_registry.adapters.postgres_batch import PostgresBatchUnit
from thinghub.device_registry.adapters.postgres_topology import announce
from thinghub.device_registry.domain.announcements import Announcement
from thinghub.device_registry.domain.devices import Device, DeviceId, DeviceRef
from thinghub.device_registry.domain.products import Limits, Product
from thinghub.device_registry.domain.topic_classes import TopicClass
from thinghub.device_registry.domain.topology import ChangeStatus, Event
from thinghub.device_registry.errors import (
    DeviceExists,
    DeviceNotFound,
    InstanceNotFound,
    ProductExists,
    ProductHasDevices,
    ProductNameExists,
    ProductNotFound,
    TopicClassExists,
)

_INSERT_PRODUCT = f"""
INSERT INTO product ({rows.PRODUCT}, policy_version) VALUES
($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, next_version(NULL))
"""
_INSERT_CLASS = """
INSERT INTO topic_class (topic_id, product_key, short_name, operation, description, codec, proxy_subscribe)
VALUES (coalesce($1, free_topic_id()), $2, $3, $4, $5, $6, $7) RETURNING topic_id
"""
_NEXT_POLICY = """
UPDATE product SET policy_version = next_version(policy_version) WHERE product_key = $1 RETURNING policy_version
"""
_INSERT_DEVICE = """
INSERT INTO device (product_key, device_name, iot_id, nickname, disabled, created_ms, modified_ms, sn)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_BY_IOT_ID = f"SELECT {rows.DEVICE} FROM {rows.DEVICE_FROM} WHERE d.iot_id = $2 AND p.instance_id = $1 FOR UPDATE OF d"
_BY_NAME = f"""
SELECT {rows.DEVICE} FROM {rows.DEVICE_FROM}
WHERE d.product_key = $2 AND d.device_name = $3 AND p.instance_id = $1 FOR UPDATE OF d
"""
_DEVICE = "product_key = $1 AND device_name = $2"
_DELETE_DEVICE = (
    f"DELETE FROM device WHERE {_DEVICE}",
    # The epoch stays and fences late messages; the next device of this name was never online.
    f"UPDATE device_status SET online = false, activated_ms = 0, last_online_ms = 0 WHERE {_DEVICE}",
)
_LEAVE_NOTICE = f"""
INSERT INTO topology_notice (gateway_key, gateway_name, product_key, device_name, status, ends_session, at_ms)
SELECT gateway_key, gateway_name, product_key, device_name, $3, false, $4 FROM topology WHERE {_DEVICE}
RETURNING gateway_key, gateway_name
"""


class PostgresUnit(PostgresBatchUnit):
    """Implements `Unit` on a connection inside a transaction."""

    left_notice = False

    async def insert_product(self, product: Product, classes: Sequence[TopicClass]) -> None:
        try:
            await self._connection.execute(_INSERT_PRODUCT, *rows.product_values(product))
        except asyncpg.ForeignKeyViolationError as error:
            raise InstanceNotFound("the instance does not exist") from error
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "product_pkey":
                raise ProductExists("the product key is taken", product_key=product.key) from error
            raise ProductNameExists("a product of this name exists") from error
        for topic_class in classes:
            await self.insert_topic_class(topic_class)

    async def count_products(self, instance_id: str) -> int:
        return int(await self._connection.fetchval("SELECT count(*) FROM product WHERE instance_id = $1", instance_id))

    async def lock_product(self, instance_id: str, product_key: str) -> Product:
        row = await self._connection.fetchrow(
            f"SELECT {rows.PRODUCT} FROM product WHERE product_key = $1 AND instance_id = $2 FOR NO KEY UPDATE",
            product_key,
            instance_id,
        )
        if row is None:
            raise ProductNotFound("the product does not exist", product_key=product_key)
        return rows.product(row)

    async def delete_product(self, product_key: str) -> None:
        try:
            await self._connection.execute("DELETE FROM product WHERE product_key = $1", product_key)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise ProductHasDevices("the product has devices", product_key=product_key) from error

    async def set_limits(self, product_key: str, limits: Limits) -> None:
        await self._connection.execute(
            "UPDATE product SET limits = $2 WHERE product_key = $1", product_key, rows.limits_text(limits)
        )

    async def count_topic_classes(self, product_key: str) -> int:
        return int(
            await self._connection.fetchval("SELECT count(*) FROM topic_class WHERE product_key = $1", product_key)
        )

    async def insert_topic_class(self, topic_class: TopicClass) -> int:
        values = (
            topic_class.id or None,
            topic_class.product_key,
            topic_class.short_name,
            topic_class.operation.value,
            topic_class.description,
            topic_class.codec,
            topic_class.proxy_subscribe,
        )
        try:
            return int(await self._connection.fetchval(_INSERT_CLASS, *values))
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "topic_class_pkey":
                raise TopicClassExists("a topic class with this id exists") from error
            raise TopicClassExists("the product has this topic class") from error

    async def drop_topic_class(self, product_key: str, short_name: str) -> None:
        await self._connection.execute(
            "DELETE FROM topic_class WHERE product_key = $1 AND short_name = $2", product_key, short_name
        )

    async def next_policy(self, product_key: str) -> int:
        return int(await self._connection.fetchval(_NEXT_POLICY, product_key))

    async def insert_device(self, device: Device) -> bool:
        id = device.id
        values = (device.iot_id, device.nickname, device.disabled, device.created_ms, device.modified_ms, device.sn)
        try:
            await self._connection.execute(_INSERT_DEVICE, id.product_key, id.device_name, *values)
        except asyncpg.UniqueViolationError as error:
            what = "IotId" if error.constraint_name == "device_iot_id_key" else "name"
            raise DeviceExists(f"a device with this {what} exists", device_name=id.device_name) from error
        except asyncpg.ForeignKeyViolationError as error:
            raise ProductNotFound("the product does not exist", product_key=id.product_key) from error
        status = await self._connection.execute(f"DELETE FROM deleted_device WHERE {_DEVICE}", *_key(id))
        return bool(status != "DELETE 0")

    async def lock_device(self, instance_id: str, ref: DeviceRef) -> Device:
        if ref.iot_id or ref.device is None:
            row = await self._connection.fetchrow(_BY_IOT_ID, instance_id, ref.iot_id)
        else:
            row = await self._connection.fetchrow(_BY_NAME, instance_id, *_key(ref.device))
        if row is None:
            raise DeviceNotFound("the device does not exist")
        return rows.device(row)

    async def set_disabled(self, device: DeviceId, disabled: bool, at_ms: int) -> None:
        await self._connection.execute(
            f"UPDATE device SET disabled = $3, modified_ms = $4 WHERE {_DEVICE}", *_key(device), disabled, at_ms
        )

    async def delete_device(self, device: DeviceId, at_ms: int) -> None:
        for statement in _DELETE_DEVICE:
            await self._connection.execute(statement, *_key(device))
        await self._connection.execute(
            "INSERT INTO deleted_device VALUES ($1, $2, $3) ON CONFLICT (product_key, device_name) "
            "DO UPDATE SET deleted_ms = excluded.deleted_ms",
            *_key(device),
            at_ms,
        )

    async def leave_notice(self, device: DeviceId, status: ChangeStatus, at_ms: int) -> None:
        gateway = await self._connection.fetchrow(_LEAVE_NOTICE, *_key(device), status, at_ms)
        if gateway is not None:
            self.left_notice = self.announced = True
            event = Event(DeviceId(gateway["gateway_key"], gateway["gateway_name"]), device, status)
            await announce(self._connection, [event], at_ms)

    async def announce(self, announcement: Announcement) -> None:
        await self._connection.execute(
            "INSERT INTO outbox (product_key, device_name, action, iot_id, at_ms) VALUES ($1, $2, $3, $4, $5)",
            *rows.announcement_values(announcement),
        )
        self.announced = True


def _key(device: DeviceId) -> tuple[str, str]:
    return device.product_key, device.device_name
