"""The scripts that end a dead gateway's claims, and that make own claims once more, on a single Redis and a Cluster."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from thinghub.common.redis import Redis, cmd, open_redis
from thinghub.connection_gateway.adapters.presence import Presence
from thinghub.connection_gateway.adapters.redis_claims import RedisClaims
from thinghub.connection_gateway.adapters.redis_estates import RedisEstates
from thinghub.connection_gateway.domain.claims import Wanted
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.estates import Expired, Reclaimed, Stand
from thinghub.connection_gateway.domain.sessions import Session

DEVICES = [Device("pk", f"d{number}") for number in range(40)]
ONE = DEVICES[0]


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
async def redis(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Redis]:
    opened = await open_redis(request.getfixturevalue(request.param), prefix)
    yield opened
    await opened.close()


@pytest.fixture
def dead(redis: Redis) -> RedisClaims:
    return RedisClaims(redis, "inc-a", "a:1")


@pytest.fixture
def other(redis: Redis) -> RedisClaims:
    return RedisClaims(redis, "inc-b", "b:1")


@pytest.fixture
def estates(redis: Redis) -> RedisEstates:
    return RedisEstates(redis, "inc-b", "b:1")


async def claim(claims: RedisClaims, *devices: Device) -> list[int]:
    """Index and claims; the epochs."""
    await claims.index(devices)
    wanted = [Wanted(device, 1, True, 1, 1234, "10.0.0.1:4711", f"iot-{device.device_name}") for device in devices]
    return [one.epoch for one in await claims.claim(wanted)]


def session(device: Device, epoch: int) -> Session:
    return Session(device, epoch, 1, 1, f"iot-{device.device_name}", "10.0.0.1:4711", 1234, True, 7)


async def online(claims: RedisClaims, devices: Sequence[Device]) -> list[int]:
    """The epochs claimed; 0 for none."""
    return [one.epoch if one else 0 for one in await claims.find(devices)]


async def test_dead_is_who_was_started_and_holds_no_lease(estates: RedisEstates, redis: Redis) -> None:
    alive, dead = Presence(redis, "inc-c", "c:1", 30), Presence(redis, "inc-a", "a:1", 0.2)
    for presence in (alive, dead, Presence(redis, "inc-b", "b:1", 0.2)):
        await presence.renew()
    assert await estates.dead() == []
    await asyncio.sleep(0.4)
    assert await estates.dead() == ["inc-a"]
    await dead.give_up(released=False)
    assert await estates.dead() == ["inc-a"]
    await dead.give_up()
    assert await estates.dead() == []


async def test_one_gateway_locks_a_dead_one_and_only_while_it_is_dead(estates: RedisEstates, redis: Redis) -> None:
    third = RedisEstates(redis, "inc-c", "c:1")
    owner = RedisEstates(redis, "inc-a", "a:1")
    assert await estates.lock("inc-a")
    assert await estates.lock("inc-a")
    assert not await third.lock("inc-a")
    assert await owner.expiring()
    await third.unlock("inc-a")
    assert await owner.expiring()
    await Presence(redis, "inc-a", "a:1", 30).renew()
    assert not await estates.lock("inc-a")
    await estates.unlock("inc-a")
    assert not await owner.expiring()


async def test_claims_of_a_dead_gateway_go_and_say_what_they_were(dead: RedisClaims, estates: RedisEstates) -> None:
    epochs = await claim(dead, *DEVICES)
    expired = await estates.expire("inc-a", DEVICES)
    assert expired == [
        Expired(device, epoch, f"iot-{device.device_name}", "10.0.0.1:4711", 1234)
        for device, epoch in zip(DEVICES, epochs, strict=True)
    ]
    assert await online(dead, DEVICES) == [0] * len(DEVICES)


async def test_a_device_that_reconnected_elsewhere_is_untouched(
    dead: RedisClaims, other: RedisClaims, estates: RedisEstates
) -> None:
    await claim(dead, ONE)
    (epoch,) = await claim(other, ONE)
    assert await estates.expire("inc-a", [ONE]) == []
    assert await online(dead, [ONE]) == [epoch]


async def test_whoever_goes_on_for_one_that_died_says_the_same_again(
    dead: RedisClaims, other: RedisClaims, estates: RedisEstates
) -> None:
    await claim(dead, *DEVICES[:2])
    first = await estates.expire("inc-a", DEVICES[:2])
    assert await estates.expire("inc-a", DEVICES[:2]) == first
    await claim(other, ONE)
    assert await estates.expire("inc-a", DEVICES[:2]) == first[1:]


async def test_the_index_is_read_in_pages_and_the_gateway_struck_when_it_is_empty(
    dead: RedisClaims, estates: RedisEstates, redis: Redis
) -> None:
    many = [Device("pk", f"many{number}") for number in range(1500)]
    await dead.index(many)
    await redis.one(cmd("HSET", "gateways", "inc-a", "a:1"))
    await estates.strike("inc-a")
    assert await estates.dead() == ["inc-a"]
    seen: set[Device] = set()
    cursor, more = 0, True
    while more:
        cursor, page = await estates.page("inc-a", cursor)
        seen.update(page)
        await estates.forget("inc-a", page)
        more = cursor != 0
    assert seen == set(many)
    await estates.strike("inc-a")
    assert await estates.dead() == []


async def test_a_claim_that_is_there_stays_as_it_is(other: RedisClaims, estates: RedisEstates) -> None:
    (epoch,) = await claim(other, ONE)
    assert await estates.reclaim([session(ONE, epoch)]) == [Reclaimed(Stand.HELD, epoch)]


async def test_a_lost_claim_is_made_once_more_with_its_index(estates: RedisEstates, redis: Redis) -> None:
    (reclaimed,) = await estates.reclaim([session(ONE, 1000)])
    assert reclaimed == Reclaimed(Stand.SET, 1000)
    (found,) = await RedisClaims(redis, "inc-z").find([ONE])
    assert found is not None
    assert (found.gateway, found.address, found.connection, found.epoch) == ("inc-b", "b:1", 1, 1000)
    assert (found.clean, found.ext, found.since_ms, found.client) == (True, 1, 1234, "10.0.0.1:4711")
    assert await redis.one(cmd("SMEMBERS", "gwsessions:{inc-b}")) == [b"pk/d0"]


async def test_an_older_claim_from_lost_data_gives_way_and_a_newer_one_stays(
    dead: RedisClaims, estates: RedisEstates
) -> None:
    (epoch,) = await claim(dead, ONE)
    assert await estates.reclaim([session(ONE, epoch - 1)]) == [Reclaimed(Stand.NEWER, epoch)]
    assert await online(dead, [ONE]) == [epoch]
    assert await estates.reclaim([session(ONE, epoch + 1)]) == [Reclaimed(Stand.SET, epoch + 1)]


async def test_what_was_reported_ended_goes_on_with_a_new_epoch(dead: RedisClaims, estates: RedisEstates) -> None:
    (epoch,) = await claim(dead, ONE)
    await estates.expire("inc-a", [ONE])
    (reclaimed,) = await estates.reclaim([session(ONE, epoch)])
    assert reclaimed.stand is Stand.RENEWED
    assert reclaimed.epoch > epoch
    assert await online(dead, [ONE]) == [reclaimed.epoch]
    assert await estates.reclaim([session(ONE, reclaimed.epoch)]) == [Reclaimed(Stand.HELD, reclaimed.epoch)]


async def test_a_session_older_than_one_that_was_expired_is_over(dead: RedisClaims, estates: RedisEstates) -> None:
    (epoch,) = await claim(dead, ONE)
    await estates.expire("inc-a", [ONE])
    assert await estates.reclaim([session(ONE, epoch - 1)]) == [Reclaimed(Stand.NEWER, epoch)]
    assert await online(dead, [ONE]) == [0]


async def test_a_barred_device_is_not_claimed_once_more(other: RedisClaims, estates: RedisEstates) -> None:
    await other.bar([(ONE, 60)])
    assert await estates.reclaim([session(ONE, 1000)]) == [Reclaimed(Stand.BARRED, 0)]
    assert await online(other, [ONE]) == [0]
