"""Product secrets and named secrets in PostgreSQL."""

from collections.abc import Mapping, Sequence

from thinghub.auth.adapters.postgres import connected
from thinghub.auth.domain.named_secrets import NamedSecret, StoredSecret
from thinghub.auth.domain.sealing import Sealed
from thinghub.common.postgres import Postgres

_PUT_PRODUCT = """
INSERT INTO product_secret AS p (product_key, key_id, ciphertext) VALUES ($1, $2, $3)
ON CONFLICT (product_key) DO UPDATE SET
    key_id = CASE WHEN $4::boolean THEN p.key_id ELSE excluded.key_id END,
    ciphertext = CASE WHEN $4::boolean THEN p.ciphertext ELSE excluded.ciphertext END
RETURNING key_id, ciphertext
"""

_PUT_NAMED = """
INSERT INTO named_secret AS s (instance_id, name, version, modified_ms, key_id, ciphertext)
VALUES ($1, $2, next_version(NULL), (extract(epoch FROM clock_timestamp()) * 1000)::bigint, $3, $4)
ON CONFLICT (instance_id, name) DO UPDATE SET version = next_version(s.version),
    modified_ms = excluded.modified_ms, key_id = excluded.key_id, ciphertext = excluded.ciphertext
RETURNING version
"""

_LIST_NAMED = """
SELECT name, version, modified_ms FROM named_secret WHERE instance_id = $1 AND name > $2 ORDER BY name LIMIT $3
"""


class PostgresProductSecrets:
    """Implements `ProductSecrets`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def put(self, product_key: str, sealed: Sealed, keep: bool) -> Sealed:
        async with connected(self._postgres) as connection:
            row = await connection.fetchrow(_PUT_PRODUCT, product_key, sealed.key_id, sealed.ciphertext, keep)
        assert row is not None
        return Sealed(row["key_id"], row["ciphertext"])

    async def find(self, product_keys: Sequence[str]) -> Mapping[str, Sealed]:
        async with connected(self._postgres) as connection:
            rows = await connection.fetch(
                "SELECT product_key, key_id, ciphertext FROM product_secret WHERE product_key = ANY($1::text[])",
                list(product_keys),
            )
        return {row["product_key"]: Sealed(row["key_id"], row["ciphertext"]) for row in rows}

    async def delete(self, product_key: str) -> None:
        async with connected(self._postgres) as connection:
            await connection.execute("DELETE FROM product_secret WHERE product_key = $1", product_key)


class PostgresNamedSecrets:
    """Implements `NamedSecrets`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def put(self, instance_id: str, name: str, sealed: Sealed) -> int:
        async with connected(self._postgres) as connection:
            return int(await connection.fetchval(_PUT_NAMED, instance_id, name, sealed.key_id, sealed.ciphertext))

    async def list(self, instance_id: str, after: str, limit: int) -> Sequence[NamedSecret]:
        async with connected(self._postgres) as connection:
            rows = await connection.fetch(_LIST_NAMED, instance_id, after, limit)
        return [NamedSecret(row["name"], row["version"], row["modified_ms"]) for row in rows]

    async def delete(self, instance_id: str, name: str) -> bool:
        async with connected(self._postgres) as connection:
            status = await connection.execute(
                "DELETE FROM named_secret WHERE instance_id = $1 AND name = $2", instance_id, name
            )
        return status == "DELETE 1"

    async def find(self, instance_id: str, names: Sequence[str]) -> Mapping[str, StoredSecret]:
        async with connected(self._postgres) as connection:
            rows = await connection.fetch(
                "SELECT name, version, key_id, ciphertext FROM named_secret "
                "WHERE instance_id = $1 AND name = ANY($2::text[])",
                instance_id,
                [*names],
            )
        return {
            row["name"]: StoredSecret(row["name"], row["version"], Sealed(row["key_id"], row["ciphertext"]))
            for row in rows
        }
