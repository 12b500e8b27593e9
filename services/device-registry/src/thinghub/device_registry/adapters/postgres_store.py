"""The registry's store in PostgreSQL: transactions and lists."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from thinghub.common.postgres import Postgres
from thinghub.device_registry.adapters import rows
from thinghub.device_registry.adapters.postgres import UNIT_S, connected
from thinghub.device_registry.adapters.postgres_unit import PostgresUnit
from thinghub.device_registry.domain.devices import Device, DeviceCounts, DeviceRef, Presence
from thinghub.device_registry.domain.paging import Page
from thinghub.device_registry.domain.products import Instance
from thinghub.device_registry.domain.topic_classes import TopicClass
from thinghub.device_registry.errors import InstanceExists
from thinghub.device_registry.ports.store import CountedProduct, Unit

_DEVICES = "(SELECT count(*) FROM device d WHERE d.product_key = product.product_key) AS devices"
_OF_INSTANCE = "instance_id = $1 AND ($2 = '' OR commodity_code = $2)"

_BY_NAMES = f"""
SELECT {rows.DEVICE} FROM unnest($2::text[], $3::text[]) AS k (pk, dn), {rows.DEVICE_FROM}
WHERE d.product_key = k.pk AND d.device_name = k.dn AND p.instance_id = $1
"""
_BY_IOT_IDS = f"SELECT {rows.DEVICE} FROM {rows.DEVICE_FROM} WHERE d.iot_id = ANY($2::text[]) AND p.instance_id = $1"


_ONLINE, _ACTIVE = "coalesce(s.online, false)", "coalesce(s.activated_ms, 0) > 0"
_PRESENT = {
    Presence.DISABLED: "d.disabled",
    Presence.ONLINE: f"NOT d.disabled AND {_ONLINE}",
    Presence.OFFLINE: f"NOT d.disabled AND NOT {_ONLINE} AND {_ACTIVE}",
    Presence.UNACTIVE: f"NOT d.disabled AND NOT {_ONLINE} AND NOT {_ACTIVE}",
}
_COUNTS = f"""
SELECT count(*) AS devices, count(*) FILTER (WHERE {_ONLINE}) AS online, count(*) FILTER (WHERE {_ACTIVE}) AS active
FROM {rows.DEVICE_FROM} WHERE p.instance_id = $1 AND ($2 = '' OR d.product_key = $2)
"""


class PostgresStore:
    """Implements `Store`. `announced` is called after a transaction that left something in the outbox, `left` after one
    that left a notice."""

    def __init__(self, postgres: Postgres, announced: Callable[[], None], left: Callable[[], None]) -> None:
        self._postgres = postgres
        self._announced = announced
        self._left = left

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        async with connected(self._postgres, UNIT_S) as connection, connection.transaction():
            unit = PostgresUnit(connection)
            yield unit
        if unit.announced:
            self._announced()
        if unit.left_notice:
            self._left()

    async def create_instance(self, instance: Instance) -> None:
        async with connected(self._postgres) as connection:
            status = await connection.execute(
                "INSERT INTO instance VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                instance.id,
                instance.name,
                instance.created_ms,
            )
        if status != "INSERT 0 1":
            raise InstanceExists("an instance with this id exists")

    async def instances(self, after: str, limit: int) -> Sequence[Instance]:
        # The default instance has the empty id: "from the start" includes it.
        async with connected(self._postgres) as connection:
            found = await connection.fetch(
                "SELECT instance_id, name, created_ms FROM instance WHERE instance_id > $1 OR $1 = '' "
                "ORDER BY instance_id LIMIT $2",
                after,
                limit,
            )
        return [Instance(row["instance_id"], row["name"], row["created_ms"]) for row in found]

    async def product(self, instance_id: str, product_key: str) -> CountedProduct | None:
        async with connected(self._postgres) as connection:
            row = await connection.fetchrow(
                f"SELECT {rows.PRODUCT}, {_DEVICES} FROM product WHERE product_key = $1 AND instance_id = $2",
                product_key,
                instance_id,
            )
        return CountedProduct(rows.product(row), row["devices"]) if row else None

    async def products(self, instance_id: str, commodity_code: str, page: Page) -> tuple[Sequence[CountedProduct], int]:
        async with connected(self._postgres) as connection:
            found = await connection.fetch(
                f"SELECT {rows.PRODUCT}, {_DEVICES} FROM product WHERE {_OF_INSTANCE} "
                "ORDER BY created_ms DESC, product_key DESC OFFSET $3 LIMIT $4",
                instance_id,
                commodity_code,
                page.offset,
                page.size,
            )
            total = await connection.fetchval(
                f"SELECT count(*) FROM product WHERE {_OF_INSTANCE}", instance_id, commodity_code
            )
        return [CountedProduct(rows.product(row), row["devices"]) for row in found], int(total)

    async def topic_classes(self, product_key: str) -> Sequence[TopicClass]:
        async with connected(self._postgres) as connection:
            found = await connection.fetch(
                "SELECT * FROM topic_class WHERE product_key = $1 ORDER BY topic_id", product_key
            )
        return [rows.topic_class(row) for row in found]

    async def devices(self, instance_id: str, refs: Sequence[DeviceRef]) -> Sequence[Device | None]:
        iot_ids = [ref.iot_id for ref in refs if ref.iot_id]
        named = [ref.device for ref in refs if ref.device and not ref.iot_id]
        names = [device.product_key for device in named], [device.device_name for device in named]
        async with connected(self._postgres) as connection:
            found = await connection.fetch(_BY_NAMES, instance_id, *names) if named else []
            found += await connection.fetch(_BY_IOT_IDS, instance_id, iot_ids) if iot_ids else []
        devices = [rows.device(row) for row in found]
        by_iot_id = {device.iot_id: device for device in devices}
        by_name = {device.id: device for device in devices}
        return [
            by_iot_id.get(ref.iot_id) if ref.iot_id else by_name.get(ref.device) if ref.device else None for ref in refs
        ]

    async def devices_page(self, product_key: str, page: Page) -> Sequence[Device]:
        return await self._devices("", product_key, page.offset, page.size)

    async def devices_after(self, product_key: str, device_name: str, limit: int) -> Sequence[Device]:
        return await self._devices(device_name, product_key, 0, limit)

    async def devices_present(self, product_key: str, presence: Presence, page: Page) -> tuple[Sequence[Device], int]:
        present = f"d.product_key = $1 AND {_PRESENT[presence]}"
        async with connected(self._postgres) as connection:
            found = await connection.fetch(
                f"SELECT {rows.DEVICE} FROM {rows.DEVICE_FROM} WHERE {present} "
                "ORDER BY d.device_name OFFSET $2 LIMIT $3",
                product_key,
                page.offset,
                page.size,
            )
            total = await connection.fetchval(f"SELECT count(*) FROM {rows.DEVICE_FROM} WHERE {present}", product_key)
        return [rows.device(row) for row in found], int(total)

    async def count_devices(self, instance_id: str, product_key: str) -> DeviceCounts:
        async with connected(self._postgres) as connection:
            row = await connection.fetchrow(_COUNTS, instance_id, product_key)
        return DeviceCounts(row["devices"], row["online"], row["active"]) if row else DeviceCounts(0, 0, 0)

    async def _devices(self, after: str, product_key: str, offset: int, limit: int) -> Sequence[Device]:
        async with connected(self._postgres) as connection:
            found = await connection.fetch(
                f"SELECT {rows.DEVICE} FROM {rows.DEVICE_FROM} WHERE d.product_key = $1 AND d.device_name > $2 "
                "ORDER BY d.device_name OFFSET $3 LIMIT $4",
                product_key,
                after,
                offset,
                limit,
            )
        return [rows.device(row) for row in found]
