"""RDS: an output becomes a row of a PostgreSQL table; a batch is one statement.

A row that the table refuses must not hold up the others: a batch that fails for a row's sake is halved until the bad
rows stand alone. Everything else that PostgreSQL says (away, shutting down, table dropped, no permission, out of space)
is the sink's state, not a row's fault, and leaves the whole batch for later.
"""

from collections.abc import Mapping, Sequence

import asyncpg

from thinghub.common.errors import Fault
from thinghub.rule_engine.adapters.sinks.rds_pools import Database, Databases, explain
from thinghub.rule_engine.adapters.sinks.rds_statement import Row, Statement, make_statement, newest, row_of
from thinghub.rule_engine.adapters.sinks.rds_table import Connection, check_table, make_table, read_table
from thinghub.rule_engine.domain.configurations import Rds
from thinghub.rule_engine.domain.outputs import Output
from thinghub.rule_engine.domain.sql.kinds import ValueKind
from thinghub.rule_engine.errors import SinkUnreachable
from thinghub.rule_engine.ports.sinks import SinkDown

# SQLSTATE classes that blame a value: cardinality, data exception, integrity, with check option, limits of a row, and
# what a trigger raises.
_ROW_CLASSES = ("21", "22", "23", "44", "54", "P0")
_PASSING = ("40",)  # deadlock, serialization: the same again may succeed

Refused = dict[int, str]


class RdsSinks:
    def __init__(self, databases: Databases) -> None:
        self._databases = databases

    async def check(self, instance_id: str, configuration: Rds, fields: Mapping[str, ValueKind]) -> None:
        """Raises SecretNotFound, ActionConfigInvalid, TableNotFound, TableUniqueMissing, SinkUnreachable,
        Unavailable (auth); makes the table when the configuration says so."""
        await self._databases.secret(instance_id, configuration.dsn_ref)
        try:
            async with self._databases.of(instance_id, configuration.dsn_ref).connection() as connection:
                if configuration.create:
                    await make_table(connection, configuration, fields)
                check_table(configuration, await read_table(connection, configuration.table), fields)
        except (SinkDown, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise SinkUnreachable(f"the table could not be looked at: {explain(error)}", position="dsn_ref") from error

    def open(self, instance_id: str, configuration: Rds) -> "RdsSink":
        return RdsSink(configuration, self._databases.of(instance_id, configuration.dsn_ref))


class RdsSink:
    def __init__(self, configuration: Rds, database: Database) -> None:
        self._rds = configuration
        self._database = database
        self._statement: Statement | None = None

    async def deliver(self, outputs: Sequence[Output]) -> list[str | None]:
        try:
            async with self._database.connection() as connection:
                refused = await self._write(connection, outputs)
        except SinkDown:
            self._statement = None
            raise
        except Fault as error:  # the secret or the table is gone
            self._statement = None
            raise SinkDown(error.message) from error
        return [refused.get(index) for index in range(len(outputs))]

    async def close(self) -> None:
        """The database is shared."""

    async def _write(self, connection: Connection, outputs: Sequence[Output]) -> Refused:
        try:
            statement = self._statement
            if statement is None:
                table = check_table(self._rds, await read_table(connection, self._rds.table), {})
                statement = self._statement = make_statement(self._rds, table)
            rows = [row_of(self._rds, statement, output) for output in outputs]
            return await _insert(connection, statement, rows)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise SinkDown(explain(error)) from error


async def _insert(connection: Connection, statement: Statement, rows: Sequence[Row]) -> Refused:
    """The rows that were refused, by index, and why; the others are committed."""
    refused: Refused = {}
    spans = [(0, len(rows))]
    while spans:
        start, end = spans.pop()
        why = await _try(connection, statement, rows[start:end])
        if why is None:
            continue
        if end - start == 1:
            refused[start] = why
            continue
        middle = (start + end) // 2
        spans += [(middle, end), (start, middle)]
    return refused


async def _try(connection: Connection, statement: Statement, rows: Sequence[Row], again: bool = True) -> str | None:
    """None when they are committed, else why one of them was refused."""
    written = newest(statement, rows)
    try:
        await connection.execute(statement.sql, *map(list, zip(*written, strict=True)))
    except asyncpg.PostgresError as error:
        code = error.sqlstate or ""
        if code.startswith(_PASSING) and again:
            return await _try(connection, statement, rows, again=False)
        if code.startswith(_ROW_CLASSES):
            return f"{error} ({code})"
        raise
    except (asyncpg.DataError, ValueError) as error:  # the client could not even encode it
        return str(error)
    return None
