"""One rule for every statement: a deadline, and StoreUnavailable when PostgreSQL cannot answer."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg

from thinghub.auth.errors import StoreUnavailable
from thinghub.common.errors import Unavailable
from thinghub.common.migrations import Connection
from thinghub.common.postgres import Postgres

DEADLINE_S = 3.0

T = TypeVar("T")
_left: set[asyncio.Task[object]] = set()


@asynccontextmanager
async def connected(postgres: Postgres) -> AsyncIterator[Connection]:
    """A connection for one statement or transaction. A deadlock that PostgreSQL ended is worth another try as well."""
    try:
        async with asyncio.timeout(DEADLINE_S), postgres.acquire() as connection:
            yield connection
    except (Unavailable, TimeoutError, OSError, asyncpg.TransactionRollbackError) as error:
        raise StoreUnavailable("the credential store cannot be reached") from error


async def within(seconds: float, reading: Coroutine[object, object, T]) -> T:
    """The result of a reading, or StoreUnavailable after that time even if the frozen server's connection takes longer
    to be given back: a connecting device cannot wait for that."""
    task = asyncio.ensure_future(reading)
    _left.add(task)
    task.add_done_callback(_forget)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        raise StoreUnavailable("the credential store does not answer in time")
    return task.result()


def _forget(task: asyncio.Task[object]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()  # seen: nobody waits for it any more, or has had it
