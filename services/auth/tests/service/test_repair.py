"""What Redis lost or never got is written again from PostgreSQL."""

import logging
import os
import time
from collections.abc import AsyncIterator

import pytest

from thinghub.auth.adapters.postgres_devices import PostgresDeviceCredentials
from thinghub.auth.adapters.redis_credentials import RedisCredentialCache
from thinghub.auth.app import MIGRATIONS
from thinghub.auth.domain.devices import Credential, DeviceId, place
from thinghub.auth.domain.sealing import KeyRing, MasterKey
from thinghub.auth.ports.stores import Candidate
from thinghub.auth.service.repair import KEEP_DELETED_S, Repair
from thinghub.common.postgres import Postgres
from thinghub.common.redis import Redis, cmd, open_redis

RING = KeyRing([MasterKey("k1", os.urandom(32))])


@pytest.fixture
async def store(postgres_dsn: str, prefix: str) -> AsyncIterator[PostgresDeviceCredentials]:
    postgres = Postgres.open(postgres_dsn, "auth_" + prefix.strip("."))
    await postgres.migrate(MIGRATIONS)
    yield PostgresDeviceCredentials(postgres)
    await postgres.close()


@pytest.fixture
async def redis(redis_url: str, prefix: str) -> AsyncIterator[Redis]:
    opened = await open_redis(redis_url, prefix)
    yield opened
    await opened.close()


async def add(store: PostgresDeviceCredentials, *names: str) -> list[Credential]:
    devices = [DeviceId("a1pk", name) for name in names]
    stored = await store.put(
        [Candidate(device, "iot", False, RING.seal("secret", place(device)), keep=False) for device in devices]
    )
    return [stored[device] for device in devices]


def repair(store: PostgresDeviceCredentials, cache: RedisCredentialCache, offset_s: float = 0) -> Repair:
    return Repair(store, cache, lambda: time.time() + offset_s, logging.getLogger("test"), 30)


async def test_recent_changes_are_written_again_page_by_page(store: PostgresDeviceCredentials, redis: Redis) -> None:
    names = [f"dev{number}" for number in range(1201)]
    credentials = await add(store, *names)
    cache = RedisCredentialCache(redis, 100)
    assert await repair(store, cache).round() == len(names)
    assert await cache.get([one.device for one in credentials]) == {one.device: one for one in credentials}


async def test_a_disabling_that_redis_lost_comes_back(store: PostgresDeviceCredentials, redis: Redis) -> None:
    (before,) = await add(store, "dev1")
    cache = RedisCredentialCache(redis, 100)
    rounds = repair(store, cache)
    await rounds.round()
    await store.set_enabled([before.device], False)
    await redis.one(cmd("DEL", "cred:{a1pk/dev1}"))
    await cache.put([before])  # what a failover left
    await rounds.round()
    assert (await cache.get([before.device]))[before.device].disabled


async def test_old_changes_are_left_alone_and_deleted_rows_go_after_a_day(
    store: PostgresDeviceCredentials, redis: Redis
) -> None:
    kept, gone = await add(store, "dev1", "dev2")
    await store.delete([gone.device])
    cache = RedisCredentialCache(redis, 100)
    assert await repair(store, cache, KEEP_DELETED_S - 60).round() == 0
    assert set(await store.find([kept.device, gone.device])) == {kept.device, gone.device}
    await repair(store, cache, KEEP_DELETED_S + 60).round()
    assert set(await store.find([kept.device, gone.device])) == {kept.device}
