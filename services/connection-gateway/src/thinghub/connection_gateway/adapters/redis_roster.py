"""Who else is there, and when a product had its last broadcast, in Redis.

gateways                     hash    incarnation -> address of every gateway that was started; the lease decides
broadcast:{kind/pk}          string  expires when the next one may be sent
"""

from collections.abc import Sequence

from thinghub.common.redis import Redis, RedisError, cmd
from thinghub.connection_gateway.adapters.presence import GATEWAYS
from thinghub.connection_gateway.adapters.redis_claims import lease_key
from thinghub.connection_gateway.errors import ClaimsUnavailable

DEADLINE = 1.0


class RedisRoster:
    """Implements `Roster`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def gateways(self) -> Sequence[tuple[str, str]]:
        try:
            entries = await self._redis.one(cmd("HKEYS", GATEWAYS), DEADLINE)
            known = sorted(one.decode() for one in entries) if isinstance(entries, list) else []
            leases = await self._redis.run([cmd("GET", lease_key(one)) for one in known], DEADLINE)
        except RedisError as error:
            raise ClaimsUnavailable(f"Redis: {error}") from error
        held = []
        for gateway, address in zip(known, leases, strict=True):
            if isinstance(address, RedisError):
                raise ClaimsUnavailable(f"Redis: {address}") from address
            if isinstance(address, bytes):
                held.append((gateway, address.decode()))
        return held

    async def admit(self, kind: str, product_key: str, seconds: int) -> bool:
        key = f"broadcast:{{{kind}/{product_key}}}"
        try:
            return await self._redis.one(cmd("SET", key, 1, "NX", "EX", seconds), DEADLINE) is not None
        except RedisError as error:
            raise ClaimsUnavailable(f"Redis: {error}") from error
