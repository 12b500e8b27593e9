"""PostgreSQL: one pool a service, in the service's own schema.

The pool is lazy: making it touches nothing, and a server that is away is an `Unavailable` at `acquire`, not a crash at
start. asyncpg replaces broken connections itself; after a failed connect the pool answers Unavailable at once for a
short, growing while, so that an outage does not become a storm of connects.

Deadlines: 5 s to connect or to get a connection, 10 s a statement.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Never, TypeAlias

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from thinghub.common.errors import Unavailable
from thinghub.common.health import Component
from thinghub.common.migrations import Connection, apply_migrations

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 10.0
WATCH_SECONDS = 2.0
POOL_SIZE = 8
PAUSE_MIN, PAUSE_MAX = 0.1, 1.0

# What the server says when it cannot work now, though the statement may be fine: connection, resources (full disk, too
# many clients), shutdown, a standby that took over.
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.TargetServerAttributeNotMatched,
    asyncpg.InternalClientError,
    ConnectionError,
    TimeoutError,
)

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

__all__ = ["Connection", "Postgres", "PostgresUnavailable"]

log = logging.getLogger("thinghub.common.postgres")


class PostgresUnavailable(Unavailable):
    """The database is away, or did not answer in time; whether a statement that was under way took effect is not
    known."""

    reason = "postgres_unavailable"


class Postgres:
    """The pool. `open` makes it; nothing is connected before the first `acquire`."""

    def __init__(self, dsn: str, schema: str, max_size: int, migrations: str) -> None:
        if not schema.isidentifier() or not schema.isascii():
            raise ValueError(f"not a schema name: {schema!r}")
        self.schema = schema
        self._dsn = dsn
        self._max_size = max_size
        self._migrations = migrations
        self._prepared = not migrations
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()
        self._pause = 0.0
        self._not_before = 0.0
        self._closed = False

    @classmethod
    def open(cls, dsn: str, schema: str, *, migrations: str = "", max_size: int = POOL_SIZE) -> "Postgres":
        """`dsn`: postgresql://user@host:port/db, or with ?host=/directory for a unix socket. `schema` is made if
        missing. With `migrations` (a package), `watch` applies them whenever the server first appears, and until then
        the server counts as away: nobody meets half a schema."""
        return cls(dsn, schema, max_size, migrations)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """A connection whose search_path is the schema. Raises PostgresUnavailable when the server is away, also from
        the body."""
        if not self._prepared:
            raise PostgresUnavailable("the database schema is not prepared yet")
        async with self._connection() as connection:
            yield connection

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        pool, connection = await self._take()
        try:
            yield connection
        except _AWAY as error:
            raise _unavailable(error) from error
        except asyncpg.InterfaceError as error:
            if _is_gone(connection):
                raise _unavailable(error) from error
            raise
        finally:
            await self._give_back(pool, connection)

    async def migrate(self, package: str) -> list[str]:
        """Applies the files NNNN_name.sql of a package that were not applied before, in order, each in its transaction;
        returns their names. Two processes at once are safe. Raises PostgresUnavailable, MigrationError."""
        async with self._connection() as connection:
            applied = await apply_migrations(connection, package)
        if package == self._migrations:
            self._prepared = True
        return applied

    async def ping(self) -> None:
        """Raises PostgresUnavailable."""
        async with self.acquire() as connection:
            await connection.execute("SELECT 1", timeout=CONNECT_SECONDS)

    async def watch(self, component: Component) -> Never:
        """Marks the component as the server comes and goes, until cancelled; ok only once the schema is prepared.
        Raises MigrationError."""
        while True:
            try:
                if not self._prepared:
                    await self.migrate(self._migrations)
                await self.ping()
                component.ok()
            except Unavailable as error:
                component.fail(error.message)
            except asyncpg.PostgresError as error:
                # wrong password, no such database: an operator mends it
                component.fail(f"{type(error).__name__}: {error}")
            await asyncio.sleep(WATCH_SECONDS if component.is_ok else max(self._pause, PAUSE_MIN))

    async def close(self) -> None:
        """Ends the connections; those in use have 2 s."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(2):
                await pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()

    async def _take(self) -> "tuple[Pool, Connection]":
        loop = asyncio.get_running_loop()
        if self._closed:
            raise PostgresUnavailable("the pool is closed")
        if loop.time() < self._not_before:
            raise PostgresUnavailable("PostgreSQL is away")
        try:
            pool = self._pool or await self._make_pool()
            connection = await pool.acquire(timeout=CONNECT_SECONDS)
        except (*_AWAY, OSError, asyncpg.InterfaceError) as error:
            self._pause = min(max(self._pause * 2, PAUSE_MIN), PAUSE_MAX)
            if not isinstance(error, TimeoutError):
                self._not_before = loop.time() + self._pause
            raise _unavailable(error) from error
        self._pause = self._not_before = 0.0
        return pool, connection

    async def _make_pool(self) -> Pool:
        async with self._opening:
            if self._pool is None:
                await self._make_schema()
                self._pool = await asyncpg.create_pool(
                    self._dsn,
                    min_size=0,
                    max_size=self._max_size,
                    timeout=CONNECT_SECONDS,
                    command_timeout=STATEMENT_SECONDS,
                    server_settings={"search_path": self.schema, "application_name": f"thinghub {self.schema}"},
                    target_session_attrs=SessionAttribute.read_write,
                )
            return self._pool

    async def _make_schema(self) -> None:
        connection = await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            target_session_attrs=SessionAttribute.read_write,
        )
        try:
            # IF NOT EXISTS alone can fail when two do it at once
            async with connection.transaction():
                await connection.execute(
                    "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"thinghub:{self.schema}"
                )
                await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{self.schema}"')
        finally:
            await connection.close(timeout=2)

    async def _give_back(self, pool: Pool, connection: Connection) -> None:
        try:
            await pool.release(connection, timeout=CONNECT_SECONDS)
        except (*_AWAY, OSError, asyncpg.InterfaceError) as error:
            log.debug("connection was not given back: %s", error)  # the pool has dropped it


def _is_gone(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True  # the pool took a lost connection back already


def _unavailable(error: BaseException) -> PostgresUnavailable:
    text = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return PostgresUnavailable(f"PostgreSQL is away: {text}")
