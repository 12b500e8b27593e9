"""The two embedded servers together: Redis and PostgreSQL start side by side and stop in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from thinghub.all_in_one.embedded import postgres, redis
from thinghub.all_in_one.embedded.child import Child
from thinghub.all_in_one.embedded.places import Places


@dataclass(frozen=True)
class Parts:
    redis: Child
    postgres: Child

    def kill(self) -> None:
        self.redis.kill()
        self.postgres.kill()


@asynccontextmanager
async def running(places: Places) -> AsyncIterator[Parts]:
    """Both serve and the databases exist. On exit PostgreSQL stops first, then Redis. Raises CannotRun."""
    async with AsyncExitStack() as stack:
        redis_child = Child(redis.plan(places))
        starting = asyncio.create_task(stack.enter_async_context(redis_child))
        try:
            await postgres.initialize(places)
        finally:
            await starting
        postgres_child = await stack.enter_async_context(Child(postgres.plan(places)))
        await postgres.create_databases(places)
        yield Parts(redis_child, postgres_child)
