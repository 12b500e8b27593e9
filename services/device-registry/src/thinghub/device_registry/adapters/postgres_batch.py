"""The part of the registry's transaction that concerns many devices: one statement a step, whatever the number."""

from collections.abc import Mapping, Sequence

import asyncpg

from thinghub.common.migrations import Connection
from thinghub.device_registry.adapters import rows
from thinghub.device_registry.domain.announcements import Announcement
from thinghub.device_registry.domain.applications import Entry, Refusal, State
from thinghub.device_registry.domain.devices import Device, DeviceId
from thinghub.device_registry.errors import ApplicationNotFound, ProductNotFound
from thinghub.device_registry.ports.applications import Inserted

# In the order of names, so that two batches never wait for each other in a circle.
_INSERT_DEVICES = """
INSERT INTO device (product_key, device_name, iot_id, nickname, created_ms, modified_ms, sn)
SELECT pk, dn, iot, nick, at, at, sn
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[]) AS n (pk, dn, iot, nick, at, sn)
ORDER BY pk, dn
ON CONFLICT DO NOTHING RETURNING product_key, device_name
"""
_CAME_BACK = """
DELETE FROM deleted_device x USING unnest($1::text[], $2::text[]) AS n (pk, dn)
WHERE x.product_key = n.pk AND x.device_name = n.dn RETURNING x.product_key, x.device_name
"""
_ANNOUNCE_ALL = """
INSERT INTO outbox (product_key, device_name, action, iot_id, at_ms)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
"""
_INSERT_APPLICATION = "INSERT INTO application (product_key, state, created_ms) VALUES ($1, $2, $3) RETURNING apply_id"
_INSERT_ENTRIES = """
INSERT INTO application_device (apply_id, number, device_name, nickname, sn, iot_id, refused, message)
SELECT $1, * FROM unnest($2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
"""
_LOCK = """
SELECT a.product_key, a.state FROM application a JOIN product p ON p.product_key = a.product_key
WHERE a.apply_id = $1 AND p.instance_id = $2 FOR UPDATE OF a
"""
_LOCK_RUNNING = """
SELECT apply_id FROM application WHERE state = 'running'
ORDER BY apply_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_PENDING = """
SELECT d.number, a.product_key, d.device_name, d.nickname, d.sn, d.iot_id
FROM application_device d JOIN application a ON a.apply_id = d.apply_id
WHERE d.apply_id = $1 AND NOT d.made AND d.refused = '' ORDER BY d.number LIMIT $2
"""
_MADE = "UPDATE application_device SET made = true WHERE apply_id = $1 AND number = ANY($2::integer[])"
_REFUSED = """
UPDATE application_device d SET refused = 'repeated', message = n.message
FROM unnest($2::integer[], $3::text[]) AS n (number, message) WHERE d.apply_id = $1 AND d.number = n.number
"""


class PostgresBatchUnit:
    """Implements `BatchUnit` on a connection inside a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.announced = False

    async def insert_devices(self, devices: Sequence[Device]) -> Inserted:
        names = [one.id.product_key for one in devices], [one.id.device_name for one in devices]
        members = (
            [one.iot_id for one in devices],
            [one.nickname for one in devices],
            [one.created_ms for one in devices],
            [one.sn for one in devices],
        )
        try:
            inserted = _ids(await self._connection.fetch(_INSERT_DEVICES, *names, *members))
        except asyncpg.ForeignKeyViolationError as error:
            raise ProductNotFound("the product does not exist") from error
        keys = [one.product_key for one in inserted], [one.device_name for one in inserted]
        came_back = _ids(await self._connection.fetch(_CAME_BACK, *keys)) if inserted else []
        return Inserted(frozenset(inserted), came_back)

    async def announce_all(self, announcements: Sequence[Announcement]) -> None:
        columns = zip(*(rows.announcement_values(one) for one in announcements), strict=True)
        if announcements:
            await self._connection.execute(_ANNOUNCE_ALL, *(list(column) for column in columns))
            self.announced = True

    async def insert_application(
        self, product_key: str, state: State, at_ms: int, entries: Sequence[Entry], refused: Sequence[Refusal]
    ) -> int:
        try:
            apply_id = int(await self._connection.fetchval(_INSERT_APPLICATION, product_key, state.value, at_ms))
        except asyncpg.ForeignKeyViolationError as error:
            raise ProductNotFound("the product does not exist", product_key=product_key) from error
        numbers = range(len(entries) + 1, len(entries) + len(refused) + 1)
        await self._connection.execute(
            _INSERT_ENTRIES,
            apply_id,
            [one.number for one in entries] + list(numbers),
            [one.device.device_name for one in entries] + [one.wanted.device_name for one in refused],
            [one.nickname for one in entries] + [one.wanted.nickname for one in refused],
            [one.sn for one in entries] + [one.wanted.sn for one in refused],
            [one.iot_id for one in entries] + [""] * len(refused),
            [""] * len(entries) + [one.reason.value for one in refused],
            [""] * len(entries) + [one.message for one in refused],
        )
        return apply_id

    async def lock_application(self, instance_id: str, apply_id: int) -> tuple[str, State]:
        row = await self._connection.fetchrow(_LOCK, apply_id, instance_id)
        if row is None:
            raise ApplicationNotFound("there is no such application")
        return row["product_key"], State(row["state"])

    async def lock_running(self) -> int | None:
        apply_id: int | None = await self._connection.fetchval(_LOCK_RUNNING)
        return apply_id

    async def pending(self, apply_id: int, limit: int) -> Sequence[Entry]:
        return [
            Entry(
                row["number"],
                DeviceId(row["product_key"], row["device_name"]),
                row["nickname"],
                row["sn"],
                row["iot_id"],
            )
            for row in await self._connection.fetch(_PENDING, apply_id, limit)
        ]

    async def settle(self, apply_id: int, made: Sequence[int], refused: Mapping[int, str]) -> None:
        await self._connection.execute(_MADE, apply_id, list(made))
        if refused:
            await self._connection.execute(_REFUSED, apply_id, list(refused), list(refused.values()))

    async def set_state(self, apply_id: int, state: State) -> None:
        await self._connection.execute("UPDATE application SET state = $2 WHERE apply_id = $1", apply_id, state.value)

    async def count_made(self, apply_id: int) -> int:
        return int(
            await self._connection.fetchval(
                "SELECT count(*) FROM application_device WHERE apply_id = $1 AND made", apply_id
            )
        )


def _ids(found: Sequence[asyncpg.Record]) -> list[DeviceId]:
    return [DeviceId(row["product_key"], row["device_name"]) for row in found]
