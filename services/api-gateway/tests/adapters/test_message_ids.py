import asyncio
import time

import pytest

from thinghub.api_gateway.adapters.message_ids import LeasedMessageIds
from thinghub.common.health import Health
from thinghub.common.redis import open_redis
from thinghub.common.redis.workers import NoWorkerId, WorkerLease
from thinghub.device_protocol.message_ids import worker_of


async def test_ids_carry_the_leased_worker_and_rise(redis_url: str, prefix: str) -> None:
    redis = await open_redis(redis_url, prefix)
    lease = WorkerLease(redis, "test")
    ids = LeasedMessageIds(lease, lambda: time.time_ns() // 1_000_000)
    with pytest.raises(NoWorkerId):
        ids.next()
    health = Health()
    task = asyncio.create_task(lease.hold(health.component("test", "message ids")))
    async with asyncio.timeout(5):
        await health.wait_ready()
    made = [ids.next() for _ in range(100)]
    assert made == sorted(set(made))
    assert {worker_of(one) for one in made} == {lease.current()}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(NoWorkerId):
        ids.next()
    await redis.close()
