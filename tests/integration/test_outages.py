"""A part that is absent at start, or lost later: who turns not-ready, who does not, and recovery without a restart."""

import asyncio
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.conftest import PATIENT
from tests.integration.flows.steps import Sink, connected, eventually, new_device, new_product, running_rule
from tests.support.child import scratch_directory
from tests.support.processes import Processes
from tests.support.servers import KafkaServer, PostgresServer, RedisServer


@dataclass(frozen=True)
class Whole:
    """The platform and servers of its own, which a test may stop."""

    platform: Processes
    kafka: KafkaServer
    redis: RedisServer
    postgres: PostgresServer


@pytest.fixture(scope="module")
def whole(private_kafka: KafkaServer) -> Iterator[Whole]:
    folder = scratch_directory("outages")
    redis, postgres = RedisServer().start(), PostgresServer().start()
    platform = Processes(
        folder / "platform",
        bus_url=private_kafka.url,
        redis_url=redis.url,
        postgres_dsn=postgres.dsn,
        prefix="outages.",
        env=PATIENT,
    )
    try:
        platform.create_topics()
        yield Whole(platform, private_kafka, redis, postgres)
    finally:
        platform.stop()
        redis.close()
        postgres.close()
        shutil.rmtree(folder)


def ready(platform: Processes, name: str) -> bool | None:
    """None: the process does not answer at all."""
    try:
        with urllib.request.urlopen(platform.readyz_of(name), timeout=2) as answer:
            return int(answer.status) == 200
    except urllib.error.HTTPError:
        return False
    except OSError:
        return None


async def becomes(platform: Processes, name: str, wanted: bool, deadline: float = 60) -> bool:
    async def same() -> bool:
        return await asyncio.to_thread(ready, platform, name) is wanted

    return bool(await eventually(same, deadline=deadline))


@pytest.mark.timeout(240)
async def test_parts_absent_at_start_are_waited_for(whole: Whole) -> None:
    platform = whole.platform
    for server in (whole.redis, whole.postgres, whole.kafka):
        server.stop()
    for service in platform.services.values():
        service.start()
    for name in platform.services:
        assert await becomes(platform, name, False), platform.services[name].log[-2000:]
    pids = {name: service.pid for name, service in platform.services.items()}
    await asyncio.sleep(3)
    ended = [name for name, service in platform.services.items() if not service.running]
    assert not ended, platform.services[ended[0]].log[-2000:]
    for server in (whole.kafka, whole.postgres, whole.redis):
        server.start()
    for name in platform.services:
        assert await becomes(platform, name, True), platform.services[name].log[-2000:]
    assert pids == {name: service.pid for name, service in platform.services.items()}


LOST = {
    "postgres": ({"device-registry", "rule-engine"}, {"auth", "connection-gateway"}),
    "redis": ({"connection-gateway"}, set[str]()),
    "kafka": ({"rule-engine", "connection-gateway"}, {"auth"}),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", LOST)
async def test_a_lost_part_takes_only_those_that_need_it(whole: Whole, part: str) -> None:
    platform, server = whole.platform, getattr(whole, part)
    taken, untouched = LOST[part]
    for name in platform.services:
        assert await becomes(platform, name, True), platform.services[name].log[-2000:]
    api = platform.api()
    identity = await new_device(api, await new_product(api))
    sink = await Sink(platform, "v integer").create(api)
    await running_rule(api, identity.product_key, "v", "RDS", json.dumps(sink.action({"v": "${v}"})))
    async with await connected(platform, identity) as device:
        server.kill()
        for name in taken:
            assert await becomes(platform, name, False), f"{name} did not notice that {part} is gone"
        for name in untouched:
            assert ready(platform, name) is True, f"{name} should not need {part}"
        if part != "kafka":
            device.publish(identity.topic("update"), b'{"v": 1}')
            await asyncio.sleep(1)
            assert not device.closed.is_set()
        server.start()
        for name in platform.services:
            assert await becomes(platform, name, True), platform.services[name].log[-2000:]
    async with await connected(platform, identity) as device:
        device.publish(identity.topic("update"), b'{"v": 2}')

        async def stored() -> bool:
            return {2} <= {row["v"] for row in await sink.rows()}

        assert await eventually(stored, deadline=60)
    await platform.close_apis()
