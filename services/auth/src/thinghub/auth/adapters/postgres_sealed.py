"""Sealed records of every table, for re-sealing. One row of `TABLES` a kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from thinghub.auth.adapters.postgres import connected
from thinghub.auth.domain.master_keys import Kind
from thinghub.auth.domain.sealing import Place, Sealed
from thinghub.auth.ports.sealed_records import Reseal, Resealed
from thinghub.common.migrations import Connection
from thinghub.common.postgres import Postgres

MOST_COUNTED = 1_000_000


@dataclass(frozen=True, slots=True)
class Table:
    """`names` are the columns of the primary key, which with `place` make the place of a secret. `versioned`: a change
    raises the version."""

    kind: Kind
    name: str
    place: str
    names: tuple[str, ...]
    key_id: str = "key_id"
    ciphertext: str = "ciphertext"
    versioned: bool = False


_DEVICE_NAMES = ("product_key", "device_name")
TABLES = (
    Table(Kind.DEVICE, "device_credential", "device", _DEVICE_NAMES, versioned=True),
    Table(Kind.FORMER_DEVICE, "device_credential", "device", _DEVICE_NAMES, "former_key_id", "former_ciphertext", True),
    Table(Kind.PRODUCT, "product_secret", "product", ("product_key",)),
    Table(Kind.ACCESS_KEY, "access_key", "access-key", ("access_key_id",)),
    Table(Kind.NAMED, "named_secret", "named", ("instance_id", "name")),
)


def _key_ids(table: Table) -> str:
    """The distinct key ids, each found by a step in the index rather than by reading every record."""
    return f"""
WITH RECURSIVE ids AS (
    (SELECT {table.key_id} AS id FROM {table.name} WHERE {table.key_id} IS NOT NULL ORDER BY 1 LIMIT 1)
    UNION ALL
    SELECT (SELECT {table.key_id} FROM {table.name} WHERE {table.key_id} > ids.id ORDER BY 1 LIMIT 1)
    FROM ids WHERE ids.id IS NOT NULL
)
SELECT id FROM ids WHERE id IS NOT NULL
"""


def _count(table: Table) -> str:
    return f"SELECT count(*) FROM (SELECT 1 FROM {table.name} WHERE {table.key_id} = $1 LIMIT {MOST_COUNTED}) AS found"


def _page(table: Table, after: bool) -> str:
    names = ", ".join(table.names)
    values = ", ".join(f"${number}::text" for number in range(3, 3 + len(table.names)))
    return f"""
SELECT {names}, {table.key_id} AS key_id, {table.ciphertext} AS ciphertext FROM {table.name}
WHERE {table.key_id} = $1 {f"AND ({names}) > ({values})" if after else ""}
ORDER BY {names} LIMIT $2 FOR UPDATE SKIP LOCKED
"""


def _update(table: Table) -> str:
    names = ", ".join(f"n{number}" for number in range(len(table.names)))
    arrays = ", ".join(f"${number}::text[]" for number in range(3, 3 + len(table.names)))
    same = " AND ".join(f"t.{name} = n.n{number}" for number, name in enumerate(table.names))
    version = ", version = next_version(t.version)" if table.versioned else ""
    return f"""
UPDATE {table.name} t SET {table.key_id} = n.key_id, {table.ciphertext} = n.ciphertext{version}
FROM unnest($1::text[], $2::bytea[], {arrays}) AS n (key_id, ciphertext, {names}) WHERE {same}
"""


class PostgresSealedRecords:
    """Implements `SealedRecords`."""

    def __init__(self, postgres: Postgres, table: Table) -> None:
        self._postgres = postgres
        self._table = table

    @property
    def kind(self) -> Kind:
        return self._table.kind

    async def counts(self) -> Mapping[str, int]:
        async with connected(self._postgres) as connection:
            ids = [row["id"] for row in await connection.fetch(_key_ids(self._table))]
        counted = {key_id: await self._count(key_id) for key_id in ids}
        return {key_id: count for key_id, count in counted.items() if count}

    async def _count(self, key_id: str) -> int:
        async with connected(self._postgres) as connection:
            return int(await connection.fetchval(_count(self._table), key_id))

    async def reseal(self, key_id: str, after: Place | None, limit: int, reseal: Reseal) -> Resealed:
        async with connected(self._postgres) as connection, connection.transaction():
            start = after[1:] if after else ()
            rows = await connection.fetch(_page(self._table, after is not None), key_id, limit, *start)
            places = [self._place(row) for row in rows]
            anew = [
                (place, sealed)
                for place, row in zip(places, rows, strict=True)
                if (sealed := reseal(Sealed(row["key_id"], row["ciphertext"]), place))
            ]
            if anew:
                await self._store(connection, anew)
        return Resealed([place for place, _ in anew], places[-1] if places else None)

    async def _store(self, connection: Connection, anew: Sequence[tuple[Place, Sealed]]) -> None:
        secrets = ([sealed.key_id for _, sealed in anew], [sealed.ciphertext for _, sealed in anew])
        names = ([place[number] for place, _ in anew] for number in range(1, 1 + len(self._table.names)))
        await connection.execute(_update(self._table), *secrets, *names)

    def _place(self, row: asyncpg.Record) -> Place:
        return (self._table.place, *(row[name] for name in self._table.names))
