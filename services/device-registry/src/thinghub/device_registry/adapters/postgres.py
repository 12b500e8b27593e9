"""One rule for every statement: a deadline, and StoreUnavailable when PostgreSQL cannot answer."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

from thinghub.common import deadlines
from thinghub.common.migrations import Connection
from thinghub.common.postgres import Postgres, PostgresUnavailable
from thinghub.device_registry.errors import StoreUnavailable

READ_S = 4.0
UNIT_S = 15.0  # a unit calls auth and the gateways, each with a deadline of 5 s

T = TypeVar("T")


@asynccontextmanager
async def connected(postgres: Postgres, deadline: float = READ_S) -> AsyncIterator[Connection]:
    """A connection for one statement or transaction. A deadlock that PostgreSQL ended is worth another try as well."""
    try:
        async with asyncio.timeout(deadline), postgres.acquire() as connection:
            yield connection
    except (PostgresUnavailable, TimeoutError, OSError, asyncpg.TransactionRollbackError) as error:
        raise StoreUnavailable("the registry's store cannot be reached") from error


async def within(seconds: float, reading: Coroutine[object, object, T]) -> T:
    """The result of a reading, or StoreUnavailable after that time, whatever the server does meanwhile: a connecting
    device cannot wait for it."""
    try:
        return await deadlines.within(seconds, reading)
    except TimeoutError as error:
        raise StoreUnavailable("the registry's store does not answer in time") from error
