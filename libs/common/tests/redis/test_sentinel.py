"""The master that Sentinels name, before and after a failover."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.common.tests.redis.counting import Counting, until_answered
from tests.support.child import Child, free_port, port_answers
from tests.support.redis_server import REDIS_SERVER
from tests.support.servers import RedisServer
from thinghub.common.redis import RedisUnavailable, Wait, open_redis


@pytest.fixture
def replica(private_redis: RedisServer) -> Iterator[RedisServer]:
    server = RedisServer(options={"repl-diskless-sync": "yes", "repl-diskless-sync-delay": "0"})
    server.start()
    with server.client() as client:
        client.replicaof("127.0.0.1", private_redis.port)
    yield server
    server.close()


@pytest.fixture
def sentinel_url(private_redis: RedisServer, replica: RedisServer, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f"sentinel monitor mymaster 127.0.0.1 {private_redis.port} 1",
        "sentinel down-after-milliseconds mymaster 800",
        "sentinel failover-timeout mymaster 4000",
    ]
    config = tmp_path / "sentinel.conf"
    config.write_text("\n".join(lines) + "\n")
    child = Child([str(REDIS_SERVER), str(config), "--sentinel"], tmp_path / "sentinel.log")
    child.wait_until(lambda: port_answers(port), "sentinel")
    yield f"redis+sentinel://127.0.0.1:1,127.0.0.1:{port}/mymaster"
    child.kill()


async def test_the_promoted_replica_is_found_and_no_answer_is_lost(
    sentinel_url: str, private_redis: RedisServer, replica: RedisServer
) -> None:
    redis = await open_redis(sentinel_url)
    await _replicates(replica)
    counting = Counting(redis, ["a", "b"], Wait(1, 400))
    async with asyncio.TaskGroup() as group:
        group.create_task(counting.run())
        await asyncio.sleep(3.0)  # Sentinel learns of the replica by INFO, at first every second
        await asyncio.to_thread(private_redis.kill)
        await until_answered(redis)
        counting.wait = None
        await asyncio.sleep(0.2)
        counting.stopping = True
    assert counting.acknowledged["a"] > 10
    await counting.check()
    await redis.close()


async def test_an_unknown_master_is_told_by_name(sentinel_url: str) -> None:
    redis = await open_redis(sentinel_url.replace("mymaster", "other"))
    with pytest.raises(RedisUnavailable, match="other"):
        await redis.ping(deadline=1.0)
    await redis.close()


async def _replicates(replica: RedisServer) -> None:
    async with asyncio.timeout(10):
        while True:
            with replica.client() as client:
                if client.info("replication").get("master_link_status") == "up":
                    return
            await asyncio.sleep(0.05)
