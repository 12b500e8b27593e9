"""A gateway's lease: `gateway:{incarnation}` -> address, renewed every third of its time, and its entry in `gateways`.

Others do not ask a gateway whose lease is over. Losing Redis loses nothing here: the lease is simply written again.
"""

import asyncio
from typing import Never

from thinghub.common.health import Component
from thinghub.common.redis import Redis, RedisError, cmd
from thinghub.connection_gateway.adapters.redis_claims import lease_key

GATEWAYS = "gateways"
DEADLINE = 1.0


class Presence:
    def __init__(self, redis: Redis, gateway: str, address: str, seconds: float) -> None:
        self._redis = redis
        self._gateway = gateway
        self._address = address
        self._seconds = seconds

    async def keep(self, component: Component) -> Never:
        """Renews until cancelled, and says in `component` whether Redis answers."""
        while True:
            try:
                await self.renew()
            except RedisError as error:
                component.fail(f"Redis does not answer: {error}")
                await asyncio.sleep(min(1.0, self._seconds / 6))
            else:
                component.ok()
                await self._watch(component)

    async def renew(self) -> None:
        """Raises RedisError."""
        lease = cmd("SET", lease_key(self._gateway), self._address, "PX", int(self._seconds * 1000))
        entry = cmd("HSET", GATEWAYS, self._gateway, self._address)
        for answer in await self._redis.run([lease, entry], DEADLINE):
            if isinstance(answer, RedisError):
                raise answer

    async def give_up(self) -> None:
        """The orderly end: nobody asks this gateway any more."""
        await self._redis.run([cmd("DEL", lease_key(self._gateway)), cmd("HDEL", GATEWAYS, self._gateway)], DEADLINE)

    async def _watch(self, component: Component) -> None:
        """Until the next renewal is due, notices when Redis goes away; returns early then."""
        until = asyncio.get_running_loop().time() + self._seconds / 3
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(min(1.0, self._seconds / 6))
            try:
                await self._redis.ping(DEADLINE)
            except RedisError as error:
                component.fail(f"Redis does not answer: {error}")
                return
