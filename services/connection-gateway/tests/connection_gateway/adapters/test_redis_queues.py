"""What persistent sessions keep, on a single Redis and on a Cluster."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.servers import RedisServer
from thinghub.common.redis import Redis, cmd, open_redis
from thinghub.connection_gateway.adapters.redis_claims import KEEP_MS, RedisClaims, queue_keys
from thinghub.connection_gateway.adapters.redis_queues import Bounds, RedisQueues
from thinghub.connection_gateway.domain.claims import Claimed, Wanted
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.kept import Change, Kept
from thinghub.connection_gateway.domain.outbox import Missed, Taken
from thinghub.connection_gateway.domain.outbox import Wanted as QueueWanted
from thinghub.connection_gateway.domain.outcomes import Downlink
from thinghub.connection_gateway.errors import QueueUnavailable
from thinghub.connection_gateway.ports import Put

ONE = Device("pk", "d1")
TOPIC = "/pk/d1/user/get"


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
async def redis(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Redis]:
    opened = await open_redis(request.getfixturevalue(request.param), prefix)
    yield opened
    await opened.close()


@pytest.fixture
def claims(redis: Redis) -> RedisClaims:
    return RedisClaims(redis, "inc-a", "a:1")


@pytest.fixture
def queues(redis: Redis) -> RedisQueues:
    return RedisQueues(redis, "inc-a", Bounds(messages=5, bytes=100, ttl_ms=60_000), KEEP_MS)


async def claim(claims: RedisClaims, *, clean: bool = False, device: Device = ONE) -> Claimed:
    (claimed,) = await claims.claim([Wanted(device, 1, clean, 0, 1234, "10.0.0.1:4711")])
    return claimed


async def put(queues: RedisQueues, *payloads: bytes, ttl_ms: int = 0, device: Device = ONE) -> list[Put]:
    found = await queues.put([Downlink(device, TOPIC, payload, 1, 1, ttl_ms=ttl_ms) for payload in payloads])
    assert all(one is not None and one.place is not None for one in found)
    return [one for one in found if one]


async def take(queues: RedisQueues, epoch: int, after: int = 0, count: int = 50, room: int = 1 << 20) -> Taken:
    (taken,) = await queues.take([QueueWanted(ONE, epoch, after, count, room)])
    assert isinstance(taken, Taken)
    return taken


def payloads(taken: Taken) -> list[bytes]:
    return [one.payload for one in taken.messages]


async def test_a_first_persistent_session_is_new_and_the_next_finds_it(
    claims: RedisClaims, queues: RedisQueues
) -> None:
    first = await claim(claims)
    assert first.kept == Kept()
    change = Change(ONE, first.epoch, ("/pk/d1/user/get", "/pk/d1/user/x/#"), (), ("/sys/pk/d1/rrpc/request/+",), ())
    assert await queues.change([change]) == [True]
    second = await claim(claims)
    assert second.kept is not None
    assert second.kept.present
    assert set(second.kept.subscriptions) == set(change.added)
    assert second.kept.stopped == change.stopped
    back = Change(ONE, second.epoch, (), ("/pk/d1/user/get",), (), change.stopped)
    assert await queues.change([back]) == [True]
    assert await queues.kept([ONE]) == [Kept(True, ("/pk/d1/user/x/#",), ())]


async def test_a_change_of_a_session_that_moved_is_not_stored(claims: RedisClaims, queues: RedisQueues) -> None:
    first = await claim(claims)
    await claim(claims)
    assert await queues.change([Change(ONE, first.epoch, ("/pk/d1/user/get",))]) == [False]
    assert await queues.kept([ONE]) == [Kept(True)]


async def test_a_clean_session_wipes_everything(claims: RedisClaims, queues: RedisQueues, redis: Redis) -> None:
    await claim(claims)
    await put(queues, b"1")
    assert (await claim(claims, clean=True)).kept is None
    assert await redis.one(cmd("EXISTS", *queue_keys(ONE))) == 0
    assert await queues.kept([ONE]) == [None]
    assert (await claim(claims)).kept == Kept()


async def test_nothing_is_queued_without_a_persistent_session(claims: RedisClaims, queues: RedisQueues) -> None:
    await claim(claims, clean=True)
    assert await queues.put([Downlink(ONE, TOPIC, b"x", 1, 1)]) == [None]


async def test_storing_says_who_owns_the_session_at_that_moment(claims: RedisClaims, queues: RedisQueues) -> None:
    claimed = await claim(claims)
    (owned,) = await put(queues, b"1")
    assert (owned.gateway, owned.address, owned.epoch) == ("inc-a", "a:1", claimed.epoch)
    await claims.release([(ONE, claimed.epoch, 1)])
    (alone,) = await put(queues, b"2")
    assert (alone.gateway, alone.epoch) == ("", 0)


async def test_messages_are_taken_in_order_and_a_new_epoch_begins_at_the_head_with_dup(
    claims: RedisClaims, queues: RedisQueues
) -> None:
    first = await claim(claims)
    await put(queues, b"1", b"2", b"3")
    taken = await take(queues, first.epoch, count=2)
    assert payloads(taken) == [b"1", b"2"]
    assert [one.dup for one in taken.messages] == [False, False]
    rest = await take(queues, first.epoch, taken.upto)
    assert payloads(rest) == [b"3"]
    assert rest.upto == rest.last
    await put(queues, b"4")
    second = await claim(claims)
    again = await take(queues, second.epoch)
    assert payloads(again) == [b"1", b"2", b"3", b"4"]
    assert [one.dup for one in again.messages] == [True, True, True, False]


async def test_who_lost_the_claim_takes_nothing(claims: RedisClaims, queues: RedisQueues) -> None:
    first = await claim(claims)
    await put(queues, b"1")
    second = await claim(claims)
    assert await queues.take([QueueWanted(ONE, first.epoch, 0, 10, 1000)]) == [Missed.NOT_OURS]
    assert [one.dup for one in (await take(queues, second.epoch)).messages] == [False]


async def test_what_is_acknowledged_is_deleted_once_and_the_rest_stays(
    claims: RedisClaims, queues: RedisQueues, redis: Redis
) -> None:
    claimed = await claim(claims)
    places = [one.place for one in await put(queues, b"1", b"22", b"3")]
    middle = [one.sequence for one in places if one][1]
    for _ in range(2):
        await queues.drop([(ONE, [middle])])
    assert payloads(await take(queues, claimed.epoch)) == [b"1", b"3"]
    assert await redis.one(cmd("HGET", queue_keys(ONE)[2], "bytes")) == b"2"
    await queues.drop([(ONE, [one.sequence for one in places if one])])
    assert await redis.one(cmd("EXISTS", queue_keys(ONE)[1])) == 0


async def test_a_full_queue_gives_up_its_oldest_and_says_so(claims: RedisClaims, queues: RedisQueues) -> None:
    claimed = await claim(claims)
    found = await put(queues, *(b"%d" % number for number in range(7)))
    assert [one.place.displaced for one in found if one.place] == [0, 0, 0, 0, 0, 1, 1]
    assert payloads(await take(queues, claimed.epoch)) == [b"2", b"3", b"4", b"5", b"6"]
    (large,) = await put(queues, b"x" * 97)
    assert large.place is not None
    assert large.place.displaced == 2
    assert payloads(await take(queues, claimed.epoch)) == [b"4", b"5", b"6", b"x" * 97]


async def test_what_is_too_old_is_not_delivered_and_counted(
    claims: RedisClaims, queues: RedisQueues, redis: Redis
) -> None:
    claimed = await claim(claims)
    places = await put(queues, b"old", b"older", ttl_ms=30)
    await put(queues, b"new")
    await asyncio.sleep(0.05)
    taken = await take(queues, claimed.epoch)
    assert payloads(taken) == [b"new"]
    assert list(taken.expired) == [one.place.sequence for one in places if one.place]
    assert await redis.one(cmd("HGET", queue_keys(ONE)[2], "bytes")) == b"3"


async def test_room_bounds_what_is_taken_but_one_message_always_comes(claims: RedisClaims, queues: RedisQueues) -> None:
    claimed = await claim(claims)
    await put(queues, b"x" * 20, b"y" * 20, b"z" * 20)
    first = await take(queues, claimed.epoch, room=10)
    assert payloads(first) == [b"x" * 20]
    second = await take(queues, claimed.epoch, first.upto, room=40)
    assert payloads(second) == [b"y" * 20, b"z" * 20]
    assert second.upto == second.last


async def test_a_long_queue_is_taken_to_its_end(claims: RedisClaims, redis: Redis) -> None:
    queues = RedisQueues(redis, "inc-a", Bounds(), KEEP_MS)
    claimed = await claim(claims)
    await put(queues, *(b"%d" % number for number in range(100)))
    got, after, taken = [], 0, await take(queues, claimed.epoch, count=20)
    while taken.messages:
        got += payloads(taken)
        after = taken.upto
        taken = await take(queues, claimed.epoch, after, count=20)
    assert got == [b"%d" % number for number in range(100)]


async def test_what_is_kept_ends_after_its_time_and_is_renewed_by_its_gateway(
    redis: Redis,
) -> None:
    claims = RedisClaims(redis, "inc-a", "a:1", keep_ms=400)
    queues = RedisQueues(redis, "inc-a", Bounds(), 60_000)
    claimed = await claim(claims)
    (one,) = await put(queues, b"1")
    for key in queue_keys(ONE):
        left = await redis.one(cmd("PTTL", key))
        assert isinstance(left, int)
        assert 0 < left <= 400
    assert one.place is not None
    assert await queues.renew([(ONE, claimed.epoch), (ONE, claimed.epoch - 1)]) == [one.place.sequence, 0]
    await asyncio.sleep(0.5)
    assert await queues.kept([ONE]) == [Kept(True)]
    await queues.forget([ONE])
    assert await redis.one(cmd("EXISTS", *queue_keys(ONE))) == 0


async def test_an_old_deletion_meets_no_message_of_a_later_session(claims: RedisClaims, queues: RedisQueues) -> None:
    await claim(claims)
    (old,) = await put(queues, b"old")
    await claim(claims, clean=True)
    claimed = await claim(claims)
    await put(queues, b"new")
    assert old.place is not None
    await queues.drop([(ONE, [old.place.sequence])])
    assert payloads(await take(queues, claimed.epoch)) == [b"new"]


async def test_many_devices_are_one_batch(claims: RedisClaims, queues: RedisQueues) -> None:
    devices = [Device("pk", f"m{number}") for number in range(40)]
    claimed = [await claim(claims, device=device) for device in devices]
    found = await queues.put([Downlink(device, TOPIC, device.device_name.encode(), 1, 1) for device in devices])
    assert all(one and one.place for one in found)
    wanted = [QueueWanted(device, one.epoch, 0, 5, 100) for device, one in zip(devices, claimed, strict=True)]
    taken = await queues.take(wanted)
    assert [payloads(one) for one in taken if isinstance(one, Taken)] == [
        [device.device_name.encode()] for device in devices
    ]


async def test_what_too_few_replicas_have_is_not_said_to_be_stored(private_redis: RedisServer) -> None:
    redis = await open_redis(private_redis.url)
    claims = RedisClaims(redis, "inc-a", "a:1")
    queues = RedisQueues(redis, "inc-a", Bounds(), KEEP_MS, replicas=1)
    claimed = await claim(claims)
    assert await queues.put([Downlink(ONE, TOPIC, b"x", 1, 1)]) == [Put(None)]
    assert await queues.change([Change(ONE, claimed.epoch, ("/pk/d1/user/get",))]) == [False]
    await redis.close()


async def test_a_redis_that_is_away_is_said(private_redis: RedisServer) -> None:
    redis = await open_redis(private_redis.url)
    queues = RedisQueues(redis, "inc-a", Bounds(), KEEP_MS)
    private_redis.pause()
    try:
        with pytest.raises(QueueUnavailable):
            await queues.kept([ONE])
        assert await queues.put([Downlink(ONE, TOPIC, b"x", 1, 1)]) == [Put(None)]
        assert await queues.take([QueueWanted(ONE, 1, 0, 10, 1000)]) == [Missed.UNAVAILABLE]
        assert await queues.drop([(ONE, [1])]) == [False]
        assert await queues.change([Change(ONE, 1, ("/pk/d1/user/get",))]) == [False]
    finally:
        private_redis.resume()
        await redis.close()
