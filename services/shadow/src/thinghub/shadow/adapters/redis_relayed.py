"""Latest values that did not come by the device's own session, into the hash of `redis_properties`.

e:{gateway}, s:{gateway}   epoch and sequence of that gateway's last message with values of this device
"""

from collections.abc import Sequence

import orjson

from thinghub.common.redis import Command, Redis, RedisError, Script, Wait, script
from thinghub.shadow.adapters.redis_properties import DEADLINE_S, properties_key
from thinghub.shadow.errors import StoreUnavailable
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.relays import Relayed

# Commands in one run; the deadline is each run's.
CHUNK = 1_000

# KEYS values. ARGV gateway or '', epoch, sequence, names by comma, values by line: JSON [value, epoch milliseconds].
_PUT = Script("""
local via, epoch, sequence = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local fields = {}
if via ~= '' and epoch > 0 then
  local held = redis.call('HMGET', KEYS[1], 'e:' .. via, 's:' .. via)
  local old = tonumber(held[1] or '0')
  if epoch < old or (epoch == old and sequence <= tonumber(held[2] or '0')) then return 0 end
  fields = {'e:' .. via, ARGV[2], 's:' .. via, ARGV[3]}
end
local function time_of(text) return tonumber(string.match(text, ',(%d+)%]$') or '0') end
local next_value = string.gmatch(ARGV[5], '[^\\n]+')
for name in string.gmatch(ARGV[4], '[^,]+') do
  local value = next_value()
  local held = via == '' and redis.call('HGET', KEYS[1], 'p:' .. name)
  if not held or time_of(held) < time_of(value) then
    fields[#fields + 1], fields[#fields + 2] = 'p:' .. name, value
  end
end
if #fields > 0 then redis.call('HSET', KEYS[1], unpack(fields)) end
return 1
""")

# KEYS values. ARGV microseconds of the deletion (what epochs are made of).
_FORGET = Script("""
if tonumber(redis.call('HGET', KEYS[1], 'e') or '0') > tonumber(ARGV[1]) then return 0 end
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(name, 1, 2) == 'p:' then redis.call('HDEL', KEYS[1], name) end
end
return 1
""")


class RedisRelayed:
    """Implements `RelayedProperties`. A write counts once so many replicas have it."""

    def __init__(self, redis: Redis, replicas: int = 0) -> None:
        self._redis = redis
        self._wait = Wait(replicas) if replicas else None

    async def put(self, relayed: Sequence[Relayed]) -> None:
        await self._run([_put(one) for one in relayed if one.items])

    async def forget(self, deleted: Sequence[tuple[Device, int]]) -> None:
        await self._run([script(_FORGET, [properties_key(device)], [at_ms * 1000]) for device, at_ms in deleted])

    async def _run(self, commands: Sequence[Command]) -> None:
        for start in range(0, len(commands), CHUNK):
            for answer in await self._redis.run(commands[start : start + CHUNK], DEADLINE_S, wait=self._wait):
                if isinstance(answer, RedisError):
                    raise StoreUnavailable(f"Redis: {answer}")


def _put(one: Relayed) -> Command:
    via = "/".join(one.via) if one.via else ""
    # Identifiers have no commas.
    values = b"\n".join(orjson.dumps((item.value, item.time_ms)) for item in one.items.values())
    return script(_PUT, [properties_key(one.device)], [via, *one.place, ",".join(one.items), values])
