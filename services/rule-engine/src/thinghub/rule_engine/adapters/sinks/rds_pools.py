"""Connections to the databases that rules write to: one small pool a secret, shared by the actions that name it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg

from thinghub.common.errors import Fault, Unavailable
from thinghub.rule_engine.adapters.sinks.rds_table import Connection
from thinghub.rule_engine.errors import ActionConfigInvalid, SecretNotFound
from thinghub.rule_engine.ports.secrets import Secret, Secrets
from thinghub.rule_engine.ports.sinks import SinkDown

MAX_CONNECTIONS = 4
SECRET_SECONDS = 60.0


def check_dsn(dsn: str) -> None:
    """Raises ActionConfigInvalid; the text itself is never shown."""
    try:
        parts = urlsplit(dsn)
        fits = (
            parts.scheme in ("postgresql", "postgres") and bool(parts.netloc or parts.query) and (parts.port or 1) > 0
        )
    except ValueError:
        fits = False
    if not fits:
        raise ActionConfigInvalid("the secret that dsn_ref names is not a postgresql:// address", position="dsn_ref")


class Database:
    """The database that one secret of one instance names. A changed secret is noticed within a minute, or at the first
    failure."""

    def __init__(self, secrets: Secrets, instance_id: str, name: str, deadline_s: float) -> None:
        self._secrets = secrets
        self._instance_id = instance_id
        self._name = name
        self._deadline_s = deadline_s
        self._secret: Secret | None = None
        self._asked_at = 0.0
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Raises SinkDown when it cannot be had, SecretNotFound and ActionConfigInvalid for the secret. A body that
        ends with SinkDown or a timeout has its connection dropped."""
        pool = await self._current_pool()
        try:
            taken = await pool.acquire(timeout=self._deadline_s)
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._asked_at = 0.0
            raise SinkDown(f"no connection: {explain(error)}") from error
        try:
            yield taken
        except (SinkDown, TimeoutError, asyncio.CancelledError):
            self._asked_at = 0.0
            with suppress(asyncpg.InterfaceError):  # the server ended it already
                taken.terminate()
            raise
        finally:
            await pool.release(taken)

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await _end(pool)

    async def _current_pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._opening:
            if self._pool is None or time.monotonic() - self._asked_at > SECRET_SECONDS:
                await self._refresh()
            assert self._pool is not None
            return self._pool

    async def _refresh(self) -> None:
        try:
            secret = await self._secrets.resolve(self._instance_id, self._name)
        except Fault as error:
            if self._pool is None:
                raise SinkDown(f"the secret {self._name!r} could not be read: {error.message}") from error
            return
        if secret is None:
            raise SecretNotFound(f"there is no secret {self._name!r}", position="dsn_ref")
        self._asked_at = time.monotonic()
        if self._pool is not None and secret == self._secret:
            return
        check_dsn(secret.value)
        old, self._pool, self._secret = self._pool, await self._make_pool(secret.value), secret
        if old is not None:
            await _end(old)

    async def _make_pool(self, dsn: str) -> "asyncpg.Pool[asyncpg.Record]":
        """Connects nothing yet."""
        try:
            return await asyncpg.create_pool(
                dsn,
                min_size=0,
                max_size=MAX_CONNECTIONS,
                timeout=self._deadline_s,
                command_timeout=self._deadline_s,
                max_inactive_connection_lifetime=60,
                reset=_keep,
                server_settings={"application_name": "thinghub rule-engine"},
            )
        except (ValueError, asyncpg.InterfaceError):
            raise ActionConfigInvalid(
                "the secret that dsn_ref names is not a usable address", position="dsn_ref"
            ) from None


class Databases:
    """All of a process. `deadline_s` bounds a connect and a statement."""

    def __init__(self, secrets: Secrets, deadline_s: float) -> None:
        self._secrets = secrets
        self._deadline_s = deadline_s
        self._databases: dict[tuple[str, str], Database] = {}

    def of(self, instance_id: str, name: str) -> Database:
        key = instance_id, name
        if key not in self._databases:
            self._databases[key] = Database(self._secrets, instance_id, name, self._deadline_s)
        return self._databases[key]

    async def secret(self, instance_id: str, name: str) -> None:
        """That it exists and is an address. Raises SecretNotFound, ActionConfigInvalid, Unavailable."""
        try:
            secret = await self._secrets.resolve(instance_id, name)
        except Unavailable:
            raise
        except Fault as error:
            raise Unavailable(f"the secret {name!r} could not be read: {error.message}") from error
        if secret is None:
            raise SecretNotFound(f"there is no secret {name!r}", position="dsn_ref")
        check_dsn(secret.value)

    async def close(self) -> None:
        for database in self._databases.values():
            await database.close()


def explain(error: BaseException) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__


async def _keep(connection: Connection) -> None:
    """Instead of a RESET on each return: our statements leave nothing behind, and a frozen server would hold it up."""


async def _end(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    try:
        async with asyncio.timeout(2):
            await pool.close()
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        pool.terminate()
