"""A destination table as PostgreSQL's catalogue describes it, and what it must have.

insert   a unique column for the message id (invariants §3), unless `id_column` is null
upsert   a unique constraint or index on exactly the key columns; the id column only has to exist
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from thinghub.rule_engine.domain.configurations import Rds
from thinghub.rule_engine.domain.sql.kinds import ValueKind
from thinghub.rule_engine.domain.templates import BUILT_IN, Template
from thinghub.rule_engine.errors import ActionConfigInvalid, TableNotFound, TableUniqueMissing

# Any: asyncpg's stubs give a pool's connection and a plain one unrelated types
Connection = Any

_COLUMNS = """
    SELECT a.attname AS name, quote_ident(n.nspname) || '.' || quote_ident(t.typname) AS type, t.typname AS kind
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''"""
_UNIQUES = """
    SELECT array_agg(a.attname::text) AS columns
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
    WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
    GROUP BY i.indexrelid"""
_ID_KINDS = ("int8", "numeric")


@dataclass(frozen=True, slots=True)
class Column:
    """`type` is quoted and ready for a cast, `kind` PostgreSQL's own short name."""

    name: str
    type: str
    kind: str


@dataclass(frozen=True, slots=True)
class Table:
    columns: dict[str, Column]
    uniques: frozenset[frozenset[str]]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def quoted_table(table: tuple[str, ...]) -> str:
    return ".".join(map(quoted, table))


async def read_table(connection: Connection, name: tuple[str, ...]) -> Table | None:
    """None when there is no such table (or view) on the search path."""
    oid = await connection.fetchval("SELECT to_regclass($1)::oid", quoted_table(name))
    if oid is None:
        return None
    columns = [Column(*row) for row in await connection.fetch(_COLUMNS, oid)]
    uniques = await connection.fetch(_UNIQUES, oid)
    return Table({column.name: column for column in columns}, frozenset(frozenset(row["columns"]) for row in uniques))


def check_table(rds: Rds, table: Table | None, fields: Mapping[str, ValueKind]) -> Table:
    """Raises TableNotFound, TableUniqueMissing, ActionConfigInvalid naming what does not fit."""
    shown = quoted_table(rds.table)
    if table is None:
        raise TableNotFound(f"there is no table {shown}", position="table", ddl=create_ddl(rds, fields))
    for name, _ in rds.columns:
        if name not in table.columns:
            raise ActionConfigInvalid(f"table {shown} has no column {name!r}", position=f"columns.{name}")
    if rds.upsert:
        _check_unique(rds, table, rds.keys)
    if rds.id_column is not None:
        _check_id(rds, table, rds.id_column)
    return table


def _check_id(rds: Rds, table: Table, name: str) -> None:
    shown = quoted_table(rds.table)
    column = table.columns.get(name)
    if column is None:
        ddl = f"ALTER TABLE {shown} ADD COLUMN {quoted(name)} bigint{'' if rds.upsert else ' UNIQUE'}"
        raise TableUniqueMissing(
            f"table {shown} has no id column {name!r}; add it with: {ddl}", position="id_column", ddl=ddl
        )
    if column.kind not in _ID_KINDS:
        raise ActionConfigInvalid(f"the id column {name!r} is {column.kind}, not bigint", position="id_column")
    if not rds.upsert:
        _check_unique(rds, table, (name,))


def _check_unique(rds: Rds, table: Table, names: Iterable[str]) -> None:
    wanted = tuple(names)
    if frozenset(wanted) in table.uniques:
        return
    shown, listed = quoted_table(rds.table), ", ".join(map(quoted, wanted))
    ddl = f"ALTER TABLE {shown} ADD UNIQUE ({listed})"
    member = "keys" if rds.upsert else "id_column"
    raise TableUniqueMissing(
        f"table {shown} has no unique constraint on ({listed}); add it with: {ddl}"
        + ("" if rds.upsert else '; or set "id_column": null to accept duplicates'),
        position=member,
        ddl=ddl,
    )


def create_ddl(rds: Rds, fields: Mapping[str, ValueKind]) -> str:
    """The table that `"create": true` makes. A lone reference to a selected field gets the field's type: text, numeric
    (from milliseconds too), boolean, or jsonb for what the payload decides; mixtures and keys are text, constants have
    their own type. The unique columns are those the mode needs."""
    columns = [f"{quoted(name)} {_made_type(rds, name, value, fields)}" for name, value in rds.columns]
    if rds.id_column is not None:
        columns.append(f"{quoted(rds.id_column)} bigint NOT NULL" + ("" if rds.upsert else " UNIQUE"))
    if rds.upsert:
        columns.append(f"UNIQUE ({', '.join(map(quoted, rds.keys))})")
    return f"CREATE TABLE IF NOT EXISTS {quoted_table(rds.table)} ({', '.join(columns)})"


_MADE = {ValueKind.TEXT: "text", ValueKind.NUMBER: "numeric", ValueKind.BOOLEAN: "boolean", ValueKind.ANY: "jsonb"}


def _made_type(rds: Rds, name: str, value: object, fields: Mapping[str, ValueKind]) -> str:
    if name in rds.keys:
        return "text NOT NULL"
    if isinstance(value, Template):
        field = value.lone
        if field is None or (field in BUILT_IN and field not in fields):
            return "text"
        return _MADE[fields.get(field, ValueKind.ANY)]
    return "boolean" if isinstance(value, bool) else "text" if value is None else "numeric"


async def make_table(connection: Connection, rds: Rds, fields: Mapping[str, ValueKind]) -> None:
    """Two processes at once: the second finds it made."""
    try:
        await connection.execute(create_ddl(rds, fields))
    except asyncpg.UniqueViolationError:  # of the catalogue: somebody else's CREATE was under way
        await connection.execute(create_ddl(rds, fields))
