"""Whose turn it is to do what one process does for all: `turn:{name}` in Redis, expires with the turn."""

from thinghub.common.redis import Redis, Script, script

DEADLINE_S = 1.0

_TAKE = Script("""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")


class RedisTurns:
    """Implements `Turns` for the work of this name; `who` is this process."""

    def __init__(self, redis: Redis, name: str, who: str) -> None:
        self._redis = redis
        self._name = name
        self._who = who

    async def take(self, seconds: float) -> bool:
        command = script(_TAKE, [f"turn:{{{self._name}}}"], [self._who, int(seconds * 1000)])
        return await self._redis.one(command, DEADLINE_S) == 1
