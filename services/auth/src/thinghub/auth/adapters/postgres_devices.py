"""Device credentials in PostgreSQL.

Batches lock their rows in the order of the key, so that two of them never wait for each other in a circle.
"""

from collections.abc import Mapping, Sequence

import asyncpg

from thinghub.auth.adapters.postgres import connected, within
from thinghub.auth.domain.devices import Credential, DeviceId
from thinghub.auth.domain.rotation import Rotation
from thinghub.auth.domain.sealing import Sealed
from thinghub.auth.ports.stores import Candidate, Position
from thinghub.common.postgres import Postgres

READ_S = 2.5  # with the cache's second before it, within the 5 s in which a CONNECT is answered

COLUMNS = (
    "c.product_key, c.device_name, c.iot_id, c.disabled, c.deleted, c.version, c.key_id, c.ciphertext, "
    "c.former_key_id, c.former_ciphertext, c.rotated_ms, c.former_until_ms, c.adopted_ms"
)

_FIND = f"""
SELECT {COLUMNS} FROM unnest($1::text[], $2::text[]) AS k (pk, dn)
JOIN device_credential c ON c.product_key = k.pk AND c.device_name = k.dn
"""

_PUT = f"""
INSERT INTO device_credential AS c (product_key, device_name, iot_id, disabled, version, key_id, ciphertext)
SELECT pk, dn, iot, disabled, next_version(NULL), kid, sealed
FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::bytea[])
    AS n (pk, dn, iot, disabled, kid, sealed)
ORDER BY pk, dn
ON CONFLICT (product_key, device_name) DO UPDATE SET
    iot_id = excluded.iot_id,
    disabled = excluded.disabled,
    deleted = false,
    version = next_version(c.version),
    key_id = CASE WHEN c.deleted OR NOT {{keep}} THEN excluded.key_id ELSE c.key_id END,
    ciphertext = CASE WHEN c.deleted OR NOT {{keep}} THEN excluded.ciphertext ELSE c.ciphertext END,
    former_key_id = CASE WHEN c.deleted OR NOT {{keep}} THEN NULL ELSE c.former_key_id END,
    former_ciphertext = CASE WHEN c.deleted OR NOT {{keep}} THEN NULL ELSE c.former_ciphertext END,
    rotated_ms = CASE WHEN c.deleted OR NOT {{keep}} THEN 0 ELSE c.rotated_ms END,
    former_until_ms = CASE WHEN c.deleted OR NOT {{keep}} THEN 0 ELSE c.former_until_ms END,
    adopted_ms = CASE WHEN c.deleted OR NOT {{keep}} THEN 0 ELSE c.adopted_ms END
RETURNING {COLUMNS}
"""
_PUT_KEEPING, _PUT_REPLACING = _PUT.format(keep="true"), _PUT.format(keep="false")

LOCKED = """
WITH locked AS (
    SELECT c.product_key AS pk, c.device_name AS dn FROM unnest($1::text[], $2::text[]) AS k (pk, dn)
    JOIN device_credential c ON c.product_key = k.pk AND c.device_name = k.dn
    WHERE NOT c.deleted ORDER BY c.product_key, c.device_name FOR UPDATE OF c
)
"""

_SET_ENABLED = f"""{LOCKED}
UPDATE device_credential c SET disabled = NOT $3::boolean, version = next_version(c.version)
FROM locked WHERE c.product_key = locked.pk AND c.device_name = locked.dn RETURNING {COLUMNS}
"""

_DELETE = f"""{LOCKED}
UPDATE device_credential c SET deleted = true, key_id = NULL, ciphertext = NULL,
    former_key_id = NULL, former_ciphertext = NULL, version = next_version(c.version)
FROM locked WHERE c.product_key = locked.pk AND c.device_name = locked.dn RETURNING {COLUMNS}
"""

_CHANGED_AFTER = f"""
SELECT {COLUMNS} FROM device_credential c
WHERE (version, product_key, device_name) > ($1::bigint, $2::text, $3::text)
ORDER BY version, product_key, device_name LIMIT $4
"""

_FORGET_FORMER = f"""
WITH over AS (
    SELECT product_key AS pk, device_name AS dn FROM device_credential
    WHERE former_ciphertext IS NOT NULL AND former_until_ms <= $1 ORDER BY product_key, device_name LIMIT $2 FOR UPDATE
)
UPDATE device_credential c SET former_key_id = NULL, former_ciphertext = NULL, version = next_version(c.version)
FROM over WHERE c.product_key = over.pk AND c.device_name = over.dn RETURNING {COLUMNS}
"""

_PURGE = "DELETE FROM device_credential WHERE deleted AND version < $1"


class PostgresDeviceCredentials:
    """Implements `DeviceCredentials`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def find(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Credential]:
        rows = await within(READ_S, self._rows(_FIND, *keys(devices)))
        return {found.device: found for found in rows}

    async def put(self, candidates: Sequence[Candidate]) -> Mapping[DeviceId, Credential]:
        stored: dict[DeviceId, Credential] = {}
        async with connected(self._postgres) as connection, connection.transaction():
            for statement, keep in ((_PUT_KEEPING, True), (_PUT_REPLACING, False)):
                chosen = [candidate for candidate in candidates if candidate.keep is keep]
                for row in await connection.fetch(statement, *_columns(chosen)) if chosen else ():
                    one = credential(row)
                    stored[one.device] = one
        return stored

    async def set_enabled(self, devices: Sequence[DeviceId], enabled: bool) -> Sequence[Credential]:
        return await self._rows(_SET_ENABLED, *keys(devices), enabled)

    async def delete(self, devices: Sequence[DeviceId]) -> Sequence[Credential]:
        return await self._rows(_DELETE, *keys(devices))

    async def changed_after(self, position: Position, limit: int) -> Sequence[Credential]:
        device = position.device
        return await self._rows(_CHANGED_AFTER, position.version, device.product_key, device.device_name, limit)

    async def forget_former(self, now_ms: int, limit: int) -> Sequence[Credential]:
        return await self._rows(_FORGET_FORMER, now_ms, limit)

    async def purge_deleted(self, before_version: int) -> int:
        async with connected(self._postgres) as connection:
            status = await connection.execute(_PURGE, before_version)
        return int(status.rpartition(" ")[2])

    async def _rows(self, statement: str, *values: object) -> list[Credential]:
        async with connected(self._postgres) as connection:
            return [credential(row) for row in await connection.fetch(statement, *values)]


def keys(devices: Sequence[DeviceId]) -> tuple[list[str], list[str]]:
    return [device.product_key for device in devices], [device.device_name for device in devices]


def _columns(candidates: Sequence[Candidate]) -> tuple[list[object], ...]:
    return (
        [c.device.product_key for c in candidates],
        [c.device.device_name for c in candidates],
        [c.iot_id for c in candidates],
        [c.disabled for c in candidates],
        [c.sealed.key_id for c in candidates],
        [c.sealed.ciphertext for c in candidates],
    )


def credential(row: asyncpg.Record) -> Credential:
    sealed = None if row["deleted"] else Sealed(row["key_id"], row["ciphertext"])
    device = DeviceId(row["product_key"], row["device_name"])
    return Credential(device, row["version"], row["iot_id"], row["disabled"], row["deleted"], sealed, _rotation(row))


def _rotation(row: asyncpg.Record) -> Rotation | None:
    if not row["rotated_ms"] or row["deleted"]:
        return None
    former = Sealed(row["former_key_id"], row["former_ciphertext"]) if row["former_key_id"] else None
    return Rotation(row["rotated_ms"], row["former_until_ms"], row["adopted_ms"], former)
