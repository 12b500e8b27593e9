"""One rule for every statement: a deadline, and StoreUnavailable when PostgreSQL cannot answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from thinghub.common.migrations import Connection
from thinghub.common.postgres import Postgres, PostgresUnavailable
from thinghub.ota.domain.announcements import Draft
from thinghub.ota.errors import StoreUnavailable

DEADLINE_S = 4.0
LONG_S = 10.0

_ANNOUNCE = "INSERT INTO outbox (product_key, device_name, topic, body, at_ms) VALUES ($1, $2, $3, $4, $5)"


@asynccontextmanager
async def connected(postgres: Postgres, deadline: float = DEADLINE_S) -> AsyncIterator[Connection]:
    """A connection for one transaction. A deadlock that PostgreSQL ended is worth another try as well."""
    try:
        async with asyncio.timeout(deadline), postgres.acquire() as connection, connection.transaction():
            yield connection
    except (PostgresUnavailable, TimeoutError, OSError, asyncpg.TransactionRollbackError) as error:
        raise StoreUnavailable("the store of ota cannot be reached") from error


async def announce(connection: Connection, drafts: Sequence[Draft]) -> None:
    """Into the outbox, with the change they are about."""
    if drafts:
        rows = [(one.product_key, one.device_name, one.topic, one.body.decode(), one.at_ms) for one in drafts]
        await connection.executemany(_ANNOUNCE, rows)
