"""The statement of a table and the rows it takes: everything travels as text arrays and is cast by PostgreSQL.

One statement a batch, whatever the columns' types; a value that its column cannot take is an error of the server's,
which names the value. Casts use the type without its length, so a text too long for its column is refused, not cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from thinghub.rule_engine.adapters.sinks.rds_table import Column, Table, quoted, quoted_table
from thinghub.rule_engine.domain.configurations import Rds
from thinghub.rule_engine.domain.outputs import Output, derived_id, order_of
from thinghub.rule_engine.domain.templates import Template

_INTEGERS = ("int2", "int4", "int8")
_TIMES = ("timestamptz", "timestamp", "date")
_JSON = ("json", "jsonb")
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """`key_indexes` are the places of the upsert's keys in a row, `id_index` the id's, None without one."""

    sql: str
    columns: tuple[Column, ...]
    key_indexes: tuple[int, ...]
    id_index: int | None


def make_statement(rds: Rds, table: Table) -> Statement:
    names = [name for name, _ in rds.columns] + ([rds.id_column] if rds.id_column else [])
    columns = tuple(table.columns[name] for name in names)
    listed = ", ".join(map(quoted, names))
    casts = ", ".join(f"u.c{index}::{column.type}" for index, column in enumerate(columns))
    arrays = ", ".join(f"${index + 1}::text[]" for index in range(len(columns)))
    fields = ", ".join(f"c{index}" for index in range(len(columns)))
    sql = f"INSERT INTO {quoted_table(rds.table)} AS t ({listed}) SELECT {casts} FROM unnest({arrays}) AS u({fields})"
    keys = tuple(names.index(key) for key in rds.keys)
    return Statement(sql + _on_conflict(rds, names), columns, keys, len(names) - 1 if rds.id_column else None)


def _on_conflict(rds: Rds, names: Sequence[str]) -> str:
    if not rds.upsert:
        return f" ON CONFLICT ({quoted(rds.id_column)}) DO NOTHING" if rds.id_column else ""
    target = ", ".join(map(quoted, rds.keys))
    changed = ", ".join(f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in names if name not in rds.keys)
    if not changed:
        return f" ON CONFLICT ({target}) DO NOTHING"
    fence = ""
    if rds.id_column:
        own = quoted(rds.id_column)
        fence = f" WHERE t.{own} IS NULL OR EXCLUDED.{own} >= t.{own}"
    return f" ON CONFLICT ({target}) DO UPDATE SET {changed}{fence}"


def row_of(rds: Rds, statement: Statement, output: Output) -> Row:
    """An insert is identified by the derived id; an upsert is ordered by the message it came from."""
    cells = [
        to_cell(value.value(output) if isinstance(value, Template) else value, column.kind)
        for (_, value), column in zip(rds.columns, statement.columns, strict=False)
    ]
    if rds.id_column:
        cells.append(str(order_of(output.origin) if rds.upsert else derived_id(output)))
    return tuple(cells)


def to_cell(value: object, kind: str) -> str | None:
    """The text PostgreSQL reads for a JSON value in a column of that kind. Epoch milliseconds become a time, whole
    floating numbers integers; a JSON column takes any value as it is."""
    if value is None:
        return None
    if kind in _JSON:
        return orjson.dumps(value).decode()
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value, kind)
    return orjson.dumps(value).decode()


def _number(value: int | float, kind: str) -> str:
    if kind in _TIMES and abs(value) < 250_000_000_000_000:
        return (_UNIX + timedelta(milliseconds=value)).isoformat()
    if kind in _INTEGERS and isinstance(value, float) and value.is_integer():
        return str(int(value))
    return repr(value)


def newest(statement: Statement, rows: Sequence[Row]) -> list[Row]:
    """Of rows with the same keys the newest, in the order of their keys: a statement may touch a row once only, and two
    processes lock rows in the same order. Without keys, the rows as they are."""
    if not statement.key_indexes:
        return list(rows)
    kept: dict[Row, Row] = {}
    for row in rows:
        key = tuple(row[index] for index in statement.key_indexes)
        other = kept.get(key)
        if other is None or _order(statement, row) >= _order(statement, other):
            kept[key] = row
    return [kept[key] for key in sorted(kept, key=lambda key: tuple((cell is None, cell or "") for cell in key))]


def _order(statement: Statement, row: Row) -> int:
    return int(row[statement.id_index] or 0) if statement.id_index is not None else 0
