"""The worker id this gateway makes message ids with."""

import asyncio
from typing import Never

from thinghub.common.redis.workers import NoWorkerId, WorkerLease
from thinghub.connection_gateway.errors import WorkerIdLost


async def leased_worker(lease: WorkerLease) -> int:
    """Waits for the first worker id."""
    while True:
        try:
            return lease.current()
        except NoWorkerId:
            await asyncio.sleep(0.05)


async def watch_worker(lease: WorkerLease, worker: int) -> Never:
    """Raises WorkerIdLost when the lease went to another process and a new id was leased: the core's ids might then be
    made twice, and only a new core can have a new id. No id at all means that Redis is away; the lease is long."""
    while True:
        await asyncio.sleep(1.0)
        try:
            current = lease.current()
        except NoWorkerId:
            continue
        if current != worker:
            raise WorkerIdLost(f"worker id {worker} was leased by another process")
