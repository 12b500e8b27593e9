"""The claim scripts on a single Redis and on a Cluster."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.servers import RedisServer
from thinghub.common.redis import Redis, cmd, open_redis
from thinghub.connection_gateway.adapters.presence import Presence
from thinghub.connection_gateway.adapters.redis_claims import RedisClaims
from thinghub.connection_gateway.domain.claims import Claimed, Previous, Released, Wanted
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.errors import ClaimsUnavailable

DEVICES = [Device("pk", f"d{number}") for number in range(40)]
ONE = DEVICES[0]


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
async def redis(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Redis]:
    opened = await open_redis(request.getfixturevalue(request.param), prefix)
    yield opened
    await opened.close()


@pytest.fixture
def gateway_a(redis: Redis) -> RedisClaims:
    return RedisClaims(redis, "inc-a", "a:1")


@pytest.fixture
def gateway_b(redis: Redis) -> RedisClaims:
    return RedisClaims(redis, "inc-b", "b:1")


def wanted(device: Device, connection: int = 1) -> Wanted:
    return Wanted(device, connection, True, 1, 1234, "10.0.0.1:4711")


async def claim(claims: RedisClaims, device: Device = ONE, connection: int = 1) -> Claimed:
    (claimed,) = await claims.claim([wanted(device, connection)])
    return claimed


async def test_a_claim_is_found_with_everything_it_says(gateway_a: RedisClaims, gateway_b: RedisClaims) -> None:
    claimed = await claim(gateway_a)
    found, absent = await gateway_b.find([ONE, DEVICES[1]])
    assert found is not None
    assert (found.gateway, found.address, found.connection, found.epoch) == ("inc-a", "a:1", 1, claimed.epoch)
    assert (found.clean, found.ext, found.since_ms, found.client) == (True, 1, 1234, "10.0.0.1:4711")
    assert absent is None


async def test_an_epoch_is_the_time_of_redis_in_microseconds(gateway_a: RedisClaims) -> None:
    assert abs((await claim(gateway_a)).epoch - time.time() * 1e6) < 60e6


async def test_the_second_claim_names_the_first_and_has_a_higher_epoch(
    gateway_a: RedisClaims, gateway_b: RedisClaims
) -> None:
    first, second = await claim(gateway_a), await claim(gateway_b)
    assert first.previous is None
    assert second.previous == Previous("inc-a", "a:1", first.epoch)
    assert second.epoch > first.epoch


async def test_an_epoch_rises_above_one_from_the_future(gateway_a: RedisClaims, redis: Redis) -> None:
    future = 9_000_000_000_000_000
    await redis.one(cmd("HSET", f"session:{{{ONE.key}}}", "gw", "x", "addr", "y", "epoch", future))
    assert (await claim(gateway_a)).epoch == future + 1


async def test_a_late_release_never_removes_a_newer_claim(gateway_a: RedisClaims, gateway_b: RedisClaims) -> None:
    first, second = await claim(gateway_a), await claim(gateway_b)
    assert await gateway_a.release([(ONE, first.epoch, 1)]) == [Released.TAKEN_OVER]
    assert (await gateway_b.find([ONE]))[0] is not None
    assert await gateway_b.release([(ONE, second.epoch, 1)]) == [Released.FREED]
    assert await gateway_b.release([(ONE, second.epoch, 1)]) == [Released.ABSENT]


async def test_own_newer_claim_survives_the_release_of_the_older(gateway_a: RedisClaims) -> None:
    first, second = await claim(gateway_a, connection=1), await claim(gateway_a, connection=2)
    assert await gateway_a.release([(ONE, first.epoch, 1)]) == [Released.TAKEN_OVER]
    found = (await gateway_a.find([ONE]))[0]
    assert found is not None
    assert found.epoch == second.epoch


async def test_a_claim_whose_answer_was_lost_is_released_by_its_connection(gateway_a: RedisClaims) -> None:
    await claim(gateway_a, connection=7)
    assert await gateway_a.release([(ONE, 0, 6)]) == [Released.TAKEN_OVER]
    assert await gateway_a.release([(ONE, 0, 7)]) == [Released.FREED]


async def test_a_barred_device_is_not_claimed_until_the_bar_is_lifted(gateway_a: RedisClaims) -> None:
    await gateway_a.bar([(ONE, 60)])
    assert (await claim(gateway_a)).barred
    assert (await gateway_a.find([ONE]))[0] is None
    await gateway_a.bar([(ONE, -1)])
    assert not (await claim(gateway_a)).barred


async def test_a_batch_answers_in_order_across_nodes(gateway_a: RedisClaims) -> None:
    claimed = await gateway_a.claim([wanted(device, number) for number, device in enumerate(DEVICES)])
    found = await gateway_a.find(DEVICES)
    assert [one.connection for one in found if one] == list(range(len(DEVICES)))
    assert [one.epoch for one in found if one] == [one.epoch for one in claimed]


async def test_the_same_device_twice_in_a_batch_is_claimed_in_order(gateway_a: RedisClaims) -> None:
    first, second = await gateway_a.claim([wanted(ONE, 1), wanted(ONE, 2)])
    assert second.previous is not None
    assert second.previous.epoch == first.epoch


async def test_racing_claims_have_one_winner_and_a_chain_of_former_owners(
    gateway_a: RedisClaims, gateway_b: RedisClaims
) -> None:
    owners = [gateway_a, gateway_b] * 10
    claimed = sorted(await asyncio.gather(*(claim(one) for one in owners)), key=lambda one: one.epoch)
    assert len({one.epoch for one in claimed}) == len(owners)
    former = [one.previous.epoch for one in claimed if one.previous]
    assert former == [one.epoch for one in claimed[:-1]]
    found = (await gateway_a.find([ONE]))[0]
    assert found is not None
    assert found.epoch == claimed[-1].epoch


async def test_the_index_holds_what_is_claimed_here(gateway_a: RedisClaims, redis: Redis) -> None:
    await gateway_a.index(DEVICES[:3])
    await gateway_a.unindex(DEVICES[1:3])
    assert await redis.one(cmd("SMEMBERS", "gwsessions:{inc-a}")) == [b"pk/d0"]


async def test_a_gateway_is_alive_while_it_holds_its_lease(gateway_a: RedisClaims, redis: Redis) -> None:
    presence = Presence(redis, "inc-b", "b:1", 0.3)
    await presence.renew()
    assert await gateway_a.alive(["inc-b", "inc-z"]) == [True, False]
    await asyncio.sleep(0.5)
    assert await gateway_a.alive(["inc-b"]) == [False]
    await presence.renew()
    await presence.give_up()
    assert await gateway_a.alive(["inc-b"]) == [False]


async def test_a_worker_is_followed_to_its_gateways_address(gateway_a: RedisClaims, redis: Redis) -> None:
    await Presence(redis, "inc-b", "b:1", 30).renew()
    await redis.one(cmd("SET", "worker:{17}", "inc-b"))
    assert await gateway_a.worker_address(17) == "b:1"
    assert await gateway_a.worker_address(18) == ""


async def test_an_epoch_rises_after_redis_lost_everything(private_redis: RedisServer) -> None:
    redis = await open_redis(private_redis.url)
    claims = RedisClaims(redis, "inc-a", "a:1")
    before = await claim(claims)
    await redis.one(cmd("FLUSHALL"))
    after = await claim(claims)
    assert after.previous is None
    assert after.epoch > before.epoch
    assert await claims.release([(ONE, before.epoch, 1)]) == [Released.TAKEN_OVER]
    await redis.close()


async def test_a_redis_that_is_away_is_said_within_the_deadline(private_redis: RedisServer) -> None:
    redis = await open_redis(private_redis.url)
    claims = RedisClaims(redis, "inc-a", "a:1")
    await claim(claims)
    private_redis.pause()
    try:
        async with asyncio.timeout(3):
            with pytest.raises(ClaimsUnavailable):
                await claims.find([ONE])
    finally:
        private_redis.resume()
        await redis.close()
