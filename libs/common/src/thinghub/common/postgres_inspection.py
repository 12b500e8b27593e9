"""What an operator asks of PostgreSQL: its version, its room for connections, its clock, and how far schemas are."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from thinghub.common.migrations import MigrationError, missing_migrations
from thinghub.common.postgres import PostgresUnavailable


@dataclass(frozen=True, slots=True)
class SchemaState:
    """`pending` are files not applied; `newer` numbers that this release does not know; `broken` says why the files and
    the database contradict each other, or is empty. `made` is False before the service ran for the first time."""

    made: bool
    pending: tuple[str, ...] = ()
    newer: tuple[int, ...] = ()
    broken: str = ""


@dataclass(frozen=True, slots=True)
class PostgresState:
    """`others` are connections of clients that are not services of ours; `kept` those that max_connections reserves."""

    version: tuple[int, int]
    read_only: bool
    max_connections: int
    kept: int
    others: int
    clock_ahead_s: float
    clock_error_s: float
    schemas: dict[str, SchemaState]


_ROOM = """
SELECT current_setting('max_connections')::int AS most, current_setting('superuser_reserved_connections')::int AS kept,
    pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool AS read_only,
    current_setting('server_version_num')::int AS version,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND application_name NOT LIKE 'thinghub %') AS others
"""


async def inspect_postgres(dsn: str, schemas: Mapping[str, str], deadline: float = 5.0) -> PostgresState:
    """`schemas`: name to the package of its migrations. Changes nothing. Raises PostgresUnavailable, whose words do not
    hold the password."""
    try:
        async with asyncio.timeout(deadline):
            connection = await asyncpg.connect(dsn, timeout=deadline, command_timeout=deadline)
            try:
                return await _state(connection, schemas)
            finally:
                connection.terminate()
    except TimeoutError:
        raise PostgresUnavailable(f"no answer in {deadline:g} s") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise PostgresUnavailable(str(error) or type(error).__name__) from error
    except ValueError:
        raise PostgresUnavailable("its address cannot be read; expected is postgresql://user@host:port/name") from None


async def _state(connection: "asyncpg.Connection[asyncpg.Record]", schemas: Mapping[str, str]) -> PostgresState:
    begun = time.time()
    now = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
    ended = time.time()
    room = await connection.fetchrow(_ROOM)
    if room is None:
        raise PostgresUnavailable("it did not say how it is set up")
    return PostgresState(
        version=(room["version"] // 10_000, room["version"] % 10_000),
        read_only=room["read_only"],
        max_connections=room["most"],
        kept=room["kept"],
        others=room["others"],
        clock_ahead_s=float(now) - (begun + ended) / 2,
        clock_error_s=(ended - begun) / 2,
        schemas={name: await _schema(connection, name, package) for name, package in schemas.items()},
    )


async def _schema(connection: "asyncpg.Connection[asyncpg.Record]", name: str, package: str) -> SchemaState:
    if not name.isidentifier() or not name.isascii():
        return SchemaState(False, broken=f"{name!r} is not a schema name")
    try:
        done: dict[int, str] = {}
        made = await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f'"{name}".schema_migrations')
        if made:
            rows = await connection.fetch(f'SELECT number, sha256 FROM "{name}".schema_migrations')
            done = {row["number"]: row["sha256"] for row in rows}
        pending, newer = missing_migrations(package, done)
    except MigrationError as error:
        return SchemaState(True, broken=str(error))
    return SchemaState(bool(made), tuple(pending), tuple(newer))
