"""Access keys in PostgreSQL."""

from collections.abc import Sequence

import asyncpg

from thinghub.auth.adapters.postgres import connected
from thinghub.auth.domain.access import AccessKey, Role, StoredAccessKey
from thinghub.auth.domain.sealing import Sealed
from thinghub.auth.errors import AccessKeyExists
from thinghub.common.postgres import Postgres

_INSERT = """
INSERT INTO access_key (access_key_id, role, instance_id, description, created_ms, key_id, ciphertext)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (access_key_id) DO NOTHING
"""
_ADMINISTRATOR = f"SELECT 1 FROM access_key WHERE role = {int(Role.ADMINISTRATOR)} AND instance_id = '' LIMIT 1"
_DONE = "INSERT 0 1"


class PostgresAccessKeys:
    """Implements `AccessKeys`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def find(self, access_key_id: str) -> StoredAccessKey | None:
        async with connected(self._postgres) as connection:
            row = await connection.fetchrow("SELECT * FROM access_key WHERE access_key_id = $1", access_key_id)
        return _stored(row) if row else None

    async def create(self, stored: StoredAccessKey) -> None:
        async with connected(self._postgres) as connection:
            status = await connection.execute(_INSERT, *_values(stored))
        if status != _DONE:
            raise AccessKeyExists("an access key with this id exists")

    async def create_first(self, stored: StoredAccessKey) -> bool:
        async with connected(self._postgres) as connection, connection.transaction():
            # Several processes may start at once; the table lock lets one of them look and write.
            await connection.execute("LOCK TABLE access_key IN SHARE ROW EXCLUSIVE MODE")
            if await connection.fetchval(_ADMINISTRATOR):
                return False
            return bool(await connection.execute(_INSERT, *_values(stored)) == _DONE)

    async def list(self, after: str, limit: int) -> Sequence[StoredAccessKey]:
        async with connected(self._postgres) as connection:
            rows = await connection.fetch(
                "SELECT * FROM access_key WHERE access_key_id > $1 ORDER BY access_key_id LIMIT $2", after, limit
            )
        return [_stored(row) for row in rows]

    async def delete(self, access_key_id: str) -> bool:
        async with connected(self._postgres) as connection:
            status = await connection.execute("DELETE FROM access_key WHERE access_key_id = $1", access_key_id)
        return bool(status == "DELETE 1")


def _values(stored: StoredAccessKey) -> tuple[object, ...]:
    key, sealed = stored.key, stored.sealed
    return key.id, int(key.role), key.instance_id, key.description, key.created_ms, sealed.key_id, sealed.ciphertext


def _stored(row: asyncpg.Record) -> StoredAccessKey:
    key = AccessKey(row["access_key_id"], Role(row["role"]), row["instance_id"], row["description"], row["created_ms"])
    return StoredAccessKey(key, Sealed(row["key_id"], row["ciphertext"]))
