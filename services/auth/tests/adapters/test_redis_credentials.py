"""The credential cache against one Redis and against a cluster."""

from collections.abc import AsyncIterator

import pytest

from thinghub.auth.adapters.redis_credentials import DELETED_S, RedisCredentialCache, RedisNonces, decode, encode
from thinghub.auth.domain.devices import Credential, DeviceId
from thinghub.auth.domain.sealing import Sealed
from thinghub.common.redis import Redis, cmd, open_redis

DEVICE = DeviceId("a1pk", "dev1")


def credential(version: int, deleted: bool = False, device: DeviceId = DEVICE) -> Credential:
    return Credential(
        device, version, f"iot{version}", False, deleted, None if deleted else Sealed("k1", b"\x00\n\xff")
    )


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
async def redis(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Redis]:
    opened = await open_redis(request.getfixturevalue(request.param), prefix)
    yield opened
    await opened.close()


async def test_an_older_version_never_replaces_a_newer_one(redis: Redis) -> None:
    cache = RedisCredentialCache(redis, 100)
    for version, kept in ((5, 5), (4, 5), (6, 6), (5, 6), (10, 10), (9, 10)):
        await cache.put([credential(version)])
        assert (await cache.get([DEVICE]))[DEVICE] == credential(kept)


async def test_a_deleted_device_is_not_brought_back_by_a_late_reader(redis: Redis) -> None:
    cache = RedisCredentialCache(redis, 100)
    await cache.put([credential(5)])
    await cache.put([credential(6, deleted=True)])
    await cache.put([credential(5)])
    assert (await cache.get([DEVICE]))[DEVICE].deleted
    ttl = await redis.one(cmd("TTL", "cred:{a1pk/dev1}"))
    assert isinstance(ttl, int)
    assert DELETED_S - 60 < ttl <= DELETED_S


async def test_many_devices_are_read_and_written_in_one_batch(redis: Redis) -> None:
    cache = RedisCredentialCache(redis, 100)
    devices = [DeviceId("a1pk", f"dev{number}") for number in range(300)]
    await cache.put([credential(1, device=device) for device in devices])
    assert set(await cache.get([*devices, DeviceId("a1pk", "nobody")])) == set(devices)


async def test_a_nonce_is_used_once_by_each_key(redis: Redis) -> None:
    nonces = RedisNonces(redis)
    assert [await nonces.use(key, "n", 60) for key in ("TH1", "TH1", "TH2")] == [True, False, True]


@pytest.mark.parametrize("value", [b"", b"x", b"1\n2\n3", b'1\n{"i":1}\n', b"x\n{}\n", b"\xff\n\xff\n\xff"])
def test_a_value_that_is_not_ours_is_as_good_as_none(value: bytes) -> None:
    assert decode(DEVICE, value) is None


def test_encoding_keeps_everything() -> None:
    for one in (credential(2**53 - 1), credential(7, deleted=True)):
        assert decode(DEVICE, encode(one)) == one
