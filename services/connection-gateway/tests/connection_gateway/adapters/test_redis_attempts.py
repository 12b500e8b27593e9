"""What is remembered of devices, on a single Redis and on a Cluster."""

from collections.abc import AsyncIterator

import pytest

from thinghub.common.redis import Redis, cmd, open_redis
from thinghub.connection_gateway.adapters.redis_attempts import RedisAttempts, traced_messages
from thinghub.connection_gateway.domain.attempts import Attempt, Kind, Traced
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.errors import ClaimsUnavailable
from thinghub.device_protocol.records import Message, encode_record

ONE, OTHER = Device("pk", "one"), Device("pk", "other")
TRACE = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


@pytest.fixture(params=["redis_url", "redis_cluster_url"])
async def redis(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[Redis]:
    opened = await open_redis(request.getfixturevalue(request.param), prefix)
    yield opened
    await opened.close()


def refused(reason: str, ms: int) -> Attempt:
    return Attempt(Kind.REFUSED, reason, "10.0.0.7:4711", "gw:9103", ms)


def accepted(ms: int) -> Attempt:
    return Attempt(Kind.ACCEPTED, "", "10.0.0.8:4711", "gw:9103", ms)


def closed(ms: int) -> Attempt:
    return Attempt(Kind.CLOSED, "keep_alive", "10.0.0.8:4711", "gw:9103", ms)


async def test_what_was_added_is_read_back_newest_first_by_device(redis: Redis) -> None:
    store = RedisAttempts(redis)
    await store.add([(ONE, accepted(1)), (OTHER, refused("disabled", 2)), (ONE, closed(3))])
    await store.add([(ONE, refused("bad_signature", 4))])
    one, other, nobody = await store.of([ONE, OTHER, Device("pk", "nobody")])
    assert one.attempts == (refused("bad_signature", 4), closed(3), accepted(1))
    assert other.attempts == (refused("disabled", 2),)
    assert (nobody.attempts, nobody.messages, nobody.barred_ms) == ((), (), 0)


async def test_a_few_are_kept_and_refusals_push_out_no_session(redis: Redis) -> None:
    store = RedisAttempts(redis)
    await store.add([(ONE, accepted(1)), (ONE, closed(2))])
    for start in range(0, 60, 30):
        await store.add([(ONE, refused("bad_signature", 10 + start + number)) for number in range(30)])
    (history,) = await store.of([ONE])
    assert [one.time_ms for one in history.attempts] == [*range(69, 59, -1), 2, 1]
    await store.add([(ONE, accepted(100 + number)) for number in range(50)])
    (history,) = await store.of([ONE])
    assert [one.time_ms for one in history.attempts][:20] == list(range(149, 129, -1))
    assert len(history.attempts) == 30


@pytest.mark.parametrize(
    ("attempt", "key", "seconds"),
    [
        (accepted(1), "attempts", 7 * 86400),
        (refused("bad_signature", 1), "refusals", 86400),
        (refused("unknown_device", 1), "refusals", 3600),
    ],
)
async def test_all_of_it_expires_and_what_anybody_can_cause_the_soonest(
    redis: Redis, attempt: Attempt, key: str, seconds: int
) -> None:
    await RedisAttempts(redis).add([(ONE, attempt)])
    left = await redis.one(cmd("TTL", f"{key}:{{{ONE.key}}}"))
    assert isinstance(left, int)
    assert seconds - 60 < left <= seconds


async def test_an_unproven_refusal_does_not_shorten_the_life_of_the_others(redis: Redis) -> None:
    store = RedisAttempts(redis)
    await store.add([(ONE, refused("bad_signature", 1))])
    await store.add([(ONE, refused("malformed_client_id", 2))])
    left = await redis.one(cmd("TTL", f"refusals:{{{ONE.key}}}"))
    assert isinstance(left, int)
    assert left > 3600


async def test_sampled_messages_of_a_record_are_kept_without_their_payload(redis: Redis) -> None:
    messages = [
        Message(number, "pk", "one", "/pk/one/user/update", b"secret payload", received_ms=number, qos=1,
                traceparent=TRACE if number % 2 else "")
        for number in range(40)
    ]  # fmt: skip
    store = RedisAttempts(redis)
    await store.add_messages(traced_messages(encode_record("gw", messages)))
    (history,) = await store.of([ONE])
    assert history.messages[0] == Traced("/pk/one/user/update", 14, 1, 39, 39, TRACE)
    assert [one.message_id for one in history.messages] == list(range(39, 19, -2))
    entries = await redis.one(cmd("LRANGE", f"traced:{{{ONE.key}}}", 0, -1))
    assert b"secret" not in repr(entries).encode()
    assert traced_messages(b"\xff no record") == []


async def test_a_tombstone_is_told_with_what_is_left_of_it(redis: Redis) -> None:
    await redis.one(cmd("SET", f"tomb:{{{ONE.key}}}", "1", "EX", 60))
    (history,) = await RedisAttempts(redis).of([ONE])
    assert 50_000 < history.barred_ms <= 60_000


async def test_a_redis_that_is_away_is_said_so() -> None:
    redis = await open_redis("redis://127.0.0.1:1/0")
    store = RedisAttempts(redis)
    with pytest.raises(ClaimsUnavailable):
        await store.add([(ONE, accepted(1))])
    with pytest.raises(ClaimsUnavailable):
        await store.of([ONE])
    await redis.close()
