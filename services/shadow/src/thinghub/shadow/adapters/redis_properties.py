"""Latest values in Redis.

    property:{pk/dn}  hash   e, s          epoch and sequence of the message they came with
                             n             id of the last command to the device
                             p:identifier  JSON [value, epoch milliseconds]

One script a device and batch writes them, unless the hash has a place that is not smaller: what a frozen consumer still
held never overwrites newer values, and a repeated record changes nothing.
"""

from collections.abc import Sequence

import orjson

from thinghub.common.redis import Command, Redis, RedisError, Script, Wait, cmd, script
from thinghub.shadow.domain.thing_posts import Item
from thinghub.shadow.errors import StoreUnavailable
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import Latest

DEADLINE_S = 2.0

# KEYS values. ARGV epoch, sequence, names with commas between them, values with line ends: JSON has none, and one word
# costs a fraction of many. Epochs are microseconds: exact in a double.
_PUT = Script("""
local epoch, sequence = tonumber(ARGV[1]), tonumber(ARGV[2])
local fields, at = {}, 0
if epoch > 0 then
  local held = redis.call('HMGET', KEYS[1], 'e', 's')
  local old = tonumber(held[1] or '0')
  if epoch < old or (epoch == old and sequence <= tonumber(held[2] or '0')) then return 0 end
  fields, at = {'e', ARGV[1], 's', ARGV[2]}, 4
end
local value = string.gmatch(ARGV[4], '[^\\n]+')
for name in string.gmatch(ARGV[3], '[^,]+') do
  fields[at + 1], fields[at + 2] = 'p:' .. name, value()
  at = at + 2
end
redis.call('HSET', KEYS[1], unpack(fields))
return 1
""")


class RedisProperties:
    """Implements `Properties`. A write counts once so many replicas have it."""

    def __init__(self, redis: Redis, replicas: int = 0) -> None:
        self._redis = redis
        self._wait = Wait(replicas) if replicas else None

    async def put(self, latest: Sequence[Latest]) -> None:
        commands = [_put(one) for one in latest if one.identifiers]
        if not commands:
            return
        for answer in await self._redis.run(commands, DEADLINE_S, wait=self._wait):
            if isinstance(answer, RedisError):
                raise StoreUnavailable(f"Redis: {answer}")

    async def get(self, device: Device, identifiers: Sequence[str]) -> list[Item | None]:
        if not identifiers:
            return []
        try:
            names = (f"p:{one}" for one in identifiers)
            answer = await self._redis.one(cmd("HMGET", properties_key(device), *names), DEADLINE_S)
        except RedisError as error:
            raise StoreUnavailable(f"Redis: {error}") from error
        held = answer if isinstance(answer, list) else []
        return [Item(*orjson.loads(one)) if isinstance(one, bytes) else None for one in held]

    async def next_ids(self, devices: Sequence[Device]) -> list[int]:
        commands = [cmd("HINCRBY", properties_key(device), "n", 1) for device in devices]
        answers = await self._redis.run(commands, DEADLINE_S, wait=self._wait)
        for answer in answers:
            if not isinstance(answer, int):
                raise StoreUnavailable(f"Redis: {answer}")
        return [answer for answer in answers if isinstance(answer, int)]


def properties_key(device: Device) -> str:
    return f"property:{{{device.product_key}/{device.device_name}}}"


def _put(latest: Latest) -> Command:
    # Identifiers have no commas.
    values = b"\n".join(map(orjson.dumps, zip(latest.values, latest.times, strict=True)))
    return script(_PUT, [properties_key(latest.device)], [*latest.place, ",".join(latest.identifiers), values])
