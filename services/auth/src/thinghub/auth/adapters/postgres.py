"""One rule for every statement: a deadline, and StoreUnavailable when PostgreSQL cannot answer."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

from thinghub.auth.errors import StoreUnavailable
from thinghub.common import deadlines
from thinghub.common.errors import Unavailable
from thinghub.common.migrations import Connection
from thinghub.common.postgres import Postgres

DEADLINE_S = 3.0

T = TypeVar("T")


@asynccontextmanager
async def connected(postgres: Postgres) -> AsyncIterator[Connection]:
    """A connection for one statement or transaction. A deadlock that PostgreSQL ended is worth another try as well."""
    try:
        async with asyncio.timeout(DEADLINE_S), postgres.acquire() as connection:
            yield connection
    except (Unavailable, TimeoutError, OSError, asyncpg.TransactionRollbackError) as error:
        raise StoreUnavailable("the credential store cannot be reached") from error


async def within(seconds: float, reading: Coroutine[object, object, T]) -> T:
    """The result of a reading, or StoreUnavailable after that time, whatever the server does meanwhile: a connecting
    device cannot wait for it."""
    try:
        return await deadlines.within(seconds, reading)
    except TimeoutError as error:
        raise StoreUnavailable("the credential store does not answer in time") from error
