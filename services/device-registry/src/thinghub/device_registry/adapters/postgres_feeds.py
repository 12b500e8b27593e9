"""The status projection, the policies and the outbox in PostgreSQL."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from thinghub.common.postgres import Postgres
from thinghub.device_registry.adapters import rows
from thinghub.device_registry.adapters.postgres import UNIT_S, connected, within
from thinghub.device_registry.domain.announcements import OutboxEntry
from thinghub.device_registry.domain.policies import Policy
from thinghub.device_registry.domain.products import resolve
from thinghub.device_registry.domain.status import StatusChange
from thinghub.device_registry.domain.topic_classes import TopicClass

POLICY_READ_S = 1.5  # a connecting device waits for it, and the cache is still to be asked

# Only of devices that exist, and only if the epoch is not behind (`domain.status`).
_APPLY = """
INSERT INTO device_status AS s
    (product_key, device_name, online, activated_ms, last_online_ms, client_address, epoch)
SELECT n.pk, n.dn, n.online, n.online_ms, n.online_ms, n.address, n.epoch
FROM unnest($1::text[], $2::text[], $3::boolean[], $4::bigint[], $5::text[], $6::bigint[])
    AS n (pk, dn, online, online_ms, address, epoch)
JOIN device d ON d.product_key = n.pk AND d.device_name = n.dn
ORDER BY n.pk, n.dn
ON CONFLICT (product_key, device_name) DO UPDATE SET
    online = excluded.online,
    activated_ms = CASE
        WHEN s.activated_ms = 0 AND excluded.epoch > s.epoch THEN excluded.activated_ms ELSE s.activated_ms END,
    last_online_ms = CASE
        WHEN excluded.last_online_ms > 0 AND excluded.epoch > s.epoch THEN excluded.last_online_ms
        ELSE s.last_online_ms END,
    client_address = CASE WHEN excluded.client_address = '' THEN s.client_address ELSE excluded.client_address END,
    epoch = excluded.epoch
WHERE excluded.epoch > s.epoch OR (excluded.epoch = s.epoch AND NOT excluded.online)
"""
_POLICIES = """
SELECT product_key, instance_id, policy_version, lane, not_stored, node_type, limits
FROM product WHERE product_key = ANY($1::text[])
"""
_CLASSES = "SELECT * FROM topic_class WHERE product_key = ANY($1::text[]) ORDER BY topic_id"
_TAKE = "SELECT id, product_key, device_name, action, iot_id, at_ms, members FROM outbox ORDER BY id LIMIT $1"
_PURGE_STATUS = """
DELETE FROM device_status s USING deleted_device x
WHERE x.deleted_ms < $1 AND s.product_key = x.product_key AND s.device_name = x.device_name
AND NOT EXISTS (
    SELECT 1 FROM device d WHERE d.product_key = s.product_key AND d.device_name = s.device_name
)
"""
_PURGE_TAG_MARKS = _PURGE_STATUS.replace("device_status", "device_tag_mark")
_PURGE_TOPOLOGY_MARKS = _PURGE_STATUS.replace("device_status", "topology_mark")
_ONE_AT_A_TIME = "SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || ' outbox', 0))"


class PostgresStatuses:
    """Implements `Statuses`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def apply(self, changes: Sequence[StatusChange]) -> int:
        columns = (
            [change.device.product_key for change in changes],
            [change.device.device_name for change in changes],
            [change.online for change in changes],
            [change.online_ms for change in changes],
            [change.client_address for change in changes],
            [change.epoch for change in changes],
        )
        async with connected(self._postgres) as connection:
            status = await connection.execute(_APPLY, *columns)
        return int(status.rpartition(" ")[2])


class PostgresPolicies:
    """Implements `Policies`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def find(self, product_keys: Sequence[str]) -> Mapping[str, Policy]:
        return await within(POLICY_READ_S, self._find(product_keys))

    async def _find(self, product_keys: Sequence[str]) -> Mapping[str, Policy]:
        async with (
            connected(self._postgres) as connection,
            # One snapshot: a policy never has the version of one state and the classes of another.
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            products = await connection.fetch(_POLICIES, list(product_keys))
            classes = await connection.fetch(_CLASSES, list(product_keys)) if products else []
        by_product: dict[str, list[TopicClass]] = {}
        for row in classes:
            by_product.setdefault(row["product_key"], []).append(rows.topic_class(row))
        return {
            row["product_key"]: Policy(
                row["product_key"],
                True,
                row["policy_version"],
                row["instance_id"],
                row["lane"],
                row["not_stored"],
                row["node_type"],
                tuple(by_product.get(row["product_key"], ())),
                resolve(rows.limits(row["limits"])),
            )
            for row in products
        }


class PostgresOutbox:
    """Implements `OutboxStore`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    @asynccontextmanager
    async def taking(self, limit: int) -> AsyncIterator[Sequence[OutboxEntry]]:
        async with connected(self._postgres, UNIT_S) as connection, connection.transaction():
            mine = await connection.fetchval(_ONE_AT_A_TIME)
            entries = [rows.outbox_entry(row) for row in await connection.fetch(_TAKE, limit)] if mine else []
            yield entries
            if entries:
                await connection.execute(
                    "DELETE FROM outbox WHERE id = ANY($1::bigint[])", [entry.id for entry in entries]
                )

    async def purge(self, before_ms: int) -> None:
        async with connected(self._postgres, UNIT_S) as connection, connection.transaction():
            await connection.execute(_PURGE_STATUS, before_ms)
            await connection.execute(_PURGE_TAG_MARKS, before_ms)
            await connection.execute(_PURGE_TOPOLOGY_MARKS, before_ms)
            await connection.execute("DELETE FROM deleted_device WHERE deleted_ms < $1", before_ms)
