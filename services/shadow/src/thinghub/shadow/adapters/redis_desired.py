"""Desired properties in Redis.

    desired:{pk/dn}  hash   v:identifier   version: rises by one with every set, and stays when the value is cleared
                            d:identifier   JSON [value, epoch milliseconds]; absent: nothing is desired
                            t              epoch milliseconds of the last set
                            e, s           epoch and sequence of the device's last clearing

One script compares all versions and sets all values. A clearing that comes a second time, or late out of a frozen
consumer, has a place that is not greater than the stored one and changes nothing.
"""

from collections.abc import Mapping, Sequence

import orjson

from thinghub.common.redis import Answer, Command, Redis, RedisError, Script, Wait, cmd, script
from thinghub.shadow.domain.desired_requests import Wanted
from thinghub.shadow.errors import DesiredVersionConflict, StoreUnavailable
from thinghub.shadow.ports.desired import NOTHING, Asked, Desired
from thinghub.shadow.ports.documents import Device

DEADLINE_S = 2.0
# Requests in one run; the deadline is each run's.
CHUNK = 200

# KEYS desired. ARGV time, then identifier, expected version or '', and JSON of each. Versions, or who conflicts.
_SET = Script("""
for i = 2, #ARGV, 3 do
  if ARGV[i + 1] ~= '' and (redis.call('HGET', KEYS[1], 'v:' .. ARGV[i]) or '0') ~= ARGV[i + 1] then return ARGV[i] end
end
local versions = {}
for i = 2, #ARGV, 3 do
  versions[#versions + 1] = redis.call('HINCRBY', KEYS[1], 'v:' .. ARGV[i], 1)
  redis.call('HSET', KEYS[1], 'd:' .. ARGV[i], ARGV[i + 2])
end
redis.call('HSET', KEYS[1], 't', ARGV[1])
return versions
""")

# KEYS desired. ARGV epoch, sequence, 1 for everything, then identifier and version or '' of each.
_CLEAR = Script("""
local epoch, sequence = tonumber(ARGV[1]), tonumber(ARGV[2])
if epoch > 0 then
  local held = redis.call('HMGET', KEYS[1], 'e', 's')
  local old = tonumber(held[1] or '0')
  if epoch < old or (epoch == old and sequence <= tonumber(held[2] or '0')) then return 0 end
  redis.call('HSET', KEYS[1], 'e', ARGV[1], 's', ARGV[2])
end
if ARGV[3] == '1' then
  for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    if string.sub(name, 1, 2) == 'd:' then redis.call('HDEL', KEYS[1], name) end
  end
end
for i = 4, #ARGV, 2 do
  if ARGV[i + 1] == '' or redis.call('HGET', KEYS[1], 'v:' .. ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[1], 'd:' .. ARGV[i])
  end
end
return 1
""")

# KEYS desired. ARGV epoch milliseconds of the deletion.
_FORGET = Script("""
if tonumber(redis.call('HGET', KEYS[1], 't') or '0') > tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])
""")


class RedisDesired:
    """Implements `DesiredStore`. A write counts once so many replicas have it."""

    def __init__(self, redis: Redis, replicas: int = 0) -> None:
        self._redis = redis
        self._wait = Wait(replicas) if replicas else None

    async def set(
        self, device: Device, values: Mapping[str, object], expected: Mapping[str, int], at_ms: int
    ) -> dict[str, int]:
        args: list[str | bytes | int] = [at_ms]
        for identifier, value in values.items():
            args += (identifier, expected.get(identifier, ""), orjson.dumps((value, at_ms)))
        try:
            answer = await self._redis.one(script(_SET, [_key(device)], args), DEADLINE_S, wait=self._wait)
        except RedisError as error:
            raise StoreUnavailable(f"Redis: {error}") from error
        if not isinstance(answer, list):
            who = answer.decode() if isinstance(answer, bytes) else ""
            raise DesiredVersionConflict(f"the version of {who} is not the stored one", identifier=who)
        return {identifier: _int(version) for identifier, version in zip(values, answer, strict=True)}

    async def get(self, device: Device, identifiers: Sequence[str]) -> list[Desired]:
        if not identifiers:
            return []
        try:
            answer = await self._redis.one(_read(device, identifiers), DEADLINE_S)
        except RedisError as error:
            raise StoreUnavailable(f"Redis: {error}") from error
        return list(_desired(identifiers, answer).values())

    async def run(self, asked: Sequence[Asked]) -> list[dict[str, Desired] | None]:
        answers: list[Answer] = []
        for start in range(0, len(asked), CHUNK):
            commands = [_command(one) for one in asked[start : start + CHUNK]]
            answers += await self._redis.run(commands, DEADLINE_S, wait=self._wait)
        found: list[dict[str, Desired] | None] = []
        for one, answer in zip(asked, answers, strict=True):
            if not isinstance(one.what, Wanted):
                if isinstance(answer, RedisError):
                    raise StoreUnavailable(f"Redis: {answer}")
                found.append({})
            else:
                found.append(None if isinstance(answer, RedisError) else _wanted(one.what, answer))
        return found

    async def forget(self, deleted: Sequence[tuple[Device, int]]) -> None:
        if not deleted:
            return
        commands = [script(_FORGET, [_key(device)], [at_ms]) for device, at_ms in deleted]
        for answer in await self._redis.run(commands, DEADLINE_S, wait=self._wait):
            if isinstance(answer, RedisError):
                raise StoreUnavailable(f"Redis: {answer}")


def _key(device: Device) -> str:
    return f"desired:{{{device.product_key}/{device.device_name}}}"


def _read(device: Device, identifiers: Sequence[str]) -> Command:
    return cmd("HMGET", _key(device), *(kind + one for one in identifiers for kind in ("v:", "d:")))


def _command(asked: Asked) -> Command:
    if isinstance(asked.what, Wanted):
        if asked.what.everything:
            return cmd("HGETALL", _key(asked.device))
        return _read(asked.device, asked.what.identifiers or ("",))  # HMGET takes at least one field
    args: list[str | bytes | int] = [*asked.place, int(asked.what.everything)]
    for identifier, version in asked.what.versions.items():
        args += (identifier, "" if version is None else version)
    return script(_CLEAR, [_key(asked.device)], args)


def _wanted(wanted: Wanted, answer: Answer) -> dict[str, Desired]:
    """Only what is desired."""
    if not wanted.everything:
        found = _desired(wanted.identifiers, answer)
        return {identifier: one for identifier, one in found.items() if one.time_ms}
    flat = answer if isinstance(answer, list) else []
    held = {name.decode(): text for name, text in zip(flat[::2], flat[1::2], strict=True) if isinstance(name, bytes)}
    names = [name[2:] for name in held if name.startswith("d:")]
    return {name: _one(held.get(f"v:{name}"), held[f"d:{name}"]) for name in names}


def _desired(identifiers: Sequence[str], answer: Answer) -> dict[str, Desired]:
    held = answer if isinstance(answer, list) else []
    pairs = zip(held[::2], held[1::2], strict=True)
    return {identifier: _one(version, text) for identifier, (version, text) in zip(identifiers, pairs, strict=False)}


def _one(version: Answer, text: Answer) -> Desired:
    if not isinstance(version, bytes):
        return NOTHING
    if not isinstance(text, bytes):
        return Desired(None, 0, int(version))
    value, time_ms = orjson.loads(text)
    return Desired(value, time_ms, int(version))


def _int(answer: Answer) -> int:
    return answer if isinstance(answer, int) else 0
