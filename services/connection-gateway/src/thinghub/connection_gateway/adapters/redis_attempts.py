"""What is remembered of a device, in Redis, in the device's slot. All of it expires.

attempts:{pk/dn}  list  accepted connects and closes, newest first: JSON [kind, reason, client, gateway, ms]
refusals:{pk/dn}  list  refused connects, the same; apart, so that a stranger who tries the device's name does not
                        push out what the device itself did
traced:{pk/dn}    list  sampled messages: JSON [topic, size, qos, received ms, message id, traceparent]
tomb:{pk/dn}      see redis_claims
"""

import json
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from thinghub.common.redis import Answer, Command, Redis, RedisError, Script, cmd, script
from thinghub.connection_gateway.domain.attempts import UNPROVEN, Attempt, Kind, Traced
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.errors import ClaimsUnavailable
from thinghub.connection_gateway.service.attempts import History
from thinghubpb.bus.v1 import record_pb2

DEADLINE = 1.0
# An accepted connect and its close are two entries.
SESSIONS, REFUSALS, MESSAGES = 20, 10, 10
DAY = 86_400
# Refusals that anybody can cause under any name are the soonest forgotten.
SESSIONS_SECONDS, REFUSALS_SECONDS, UNPROVEN_SECONDS, MESSAGES_SECONDS = 7 * DAY, DAY, 3600, DAY

# KEYS list. ARGV how many stay, seconds, entries oldest first. What is to live longer keeps its time.
_PUSH = Script("""
redis.call('LPUSH', KEYS[1], unpack(ARGV, 3))
redis.call('LTRIM', KEYS[1], 0, ARGV[1] - 1)
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return 1
""")


class RedisAttempts:
    """Implements `Remembered`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def add(self, attempts: Sequence[tuple[Device, Attempt]]) -> None:
        sessions: dict[Device, list[Attempt]] = {}
        refusals: dict[Device, list[Attempt]] = {}
        for device, attempt in attempts:
            lists = refusals if attempt.kind is Kind.REFUSED else sessions
            lists.setdefault(device, []).append(attempt)
        await self._run(
            [
                *(
                    _push("attempts", device, SESSIONS, SESSIONS_SECONDS, _entries(of))
                    for device, of in sessions.items()
                ),
                *(_push("refusals", device, REFUSALS, _seconds(of), _entries(of)) for device, of in refusals.items()),
            ]
        )

    async def add_messages(self, messages: Sequence[tuple[Device, Traced]]) -> None:
        by_device: dict[Device, list[str]] = {}
        for device, one in messages:
            entry: list[str | int] = [one.topic, one.size, one.qos, one.received_ms, one.message_id, one.traceparent]
            by_device.setdefault(device, []).append(_json(entry))
        await self._run(
            [_push("traced", device, MESSAGES, MESSAGES_SECONDS, entries) for device, entries in by_device.items()]
        )

    async def of(self, devices: Sequence[Device]) -> list[History]:
        answers = await self._run([command for device in devices for command in _reading(device)])
        return [_history(answers[start : start + 4]) for start in range(0, len(answers), 4)]

    async def _run(self, commands: Sequence[Command]) -> list[Answer]:
        if not commands:
            return []
        answers = await self._redis.run(commands, DEADLINE)
        for answer in answers:
            if isinstance(answer, RedisError):
                raise ClaimsUnavailable(f"Redis: {answer}")
        return answers


def traced_messages(record: bytes) -> list[tuple[Device, Traced]]:
    """The sampled messages of a finished bus record; none of bytes that are no record."""
    try:
        messages = record_pb2.Record.FromString(record).messages
    except DecodeError:
        return []
    return [
        (
            Device(one.product_key, one.device_name),
            Traced(one.topic, len(one.payload), one.qos, one.received_ms, one.id, one.traceparent),
        )
        for one in messages
        if one.traceparent
    ]


def _push(name: str, device: Device, many: int, seconds: int, entries: Sequence[str]) -> Command:
    return script(_PUSH, [f"{name}:{{{device.key}}}"], [many, seconds, *entries[-many:]])


def _reading(device: Device) -> tuple[Command, ...]:
    lists = (cmd("LRANGE", f"{name}:{{{device.key}}}", 0, -1) for name in ("attempts", "refusals", "traced"))
    return (*lists, cmd("PTTL", f"tomb:{{{device.key}}}"))


def _seconds(refusals: Sequence[Attempt]) -> int:
    return UNPROVEN_SECONDS if all(one.reason in UNPROVEN for one in refusals) else REFUSALS_SECONDS


def _entries(attempts: Sequence[Attempt]) -> list[str]:
    return [_json([one.kind, one.reason, one.client, one.gateway, one.time_ms]) for one in attempts]


def _json(entry: Sequence[str | int]) -> str:
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False)


def _history(answers: Sequence[Answer]) -> History:
    sessions, refusals, messages, barred = answers
    attempts = [Attempt(Kind(kind), *rest) for kind, *rest in _read(sessions) + _read(refusals)]
    attempts.sort(key=lambda one: one.time_ms, reverse=True)
    left = barred if isinstance(barred, int) else 0
    return History(tuple(attempts), tuple(Traced(*entry) for entry in _read(messages)), max(left, 0))


def _read(answer: Answer) -> list[list[Any]]:
    """Any: JSON that this file wrote."""
    return [json.loads(entry) for entry in answer] if isinstance(answer, list) else []
