"""A gateway's lease: `gateway:{incarnation}` -> address, renewed every third of its time, and its entry in `gateways`.

Others do not ask a gateway whose lease is over, and end its sessions in its place (service/expiry.py). Losing Redis
loses no connection here: the lease is written again, and who owns the claims is told to make them once more.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Never

from thinghub.common.health import Component
from thinghub.common.redis import Redis, RedisError, cmd
from thinghub.connection_gateway.adapters.redis_claims import lease_key
from thinghub.connection_gateway.domain.vigil import Vigil

GATEWAYS = "gateways"
DEADLINE = 1.0


class Presence:
    def __init__(self, redis: Redis, gateway: str, address: str, seconds: float) -> None:
        self._redis = redis
        self._gateway = gateway
        self._address = address
        self._seconds = seconds
        self._renew_at = 0.0
        self._held = False

    async def keep(self, component: Component, vigil: Vigil, disturbed: Callable[[], None]) -> Never:
        """Renews until cancelled; says in `component` whether Redis answers, to `vigil` what it saw, and to `disturbed`
        that the lease was over, or that something happened to Redis."""
        while True:
            try:
                servers, lost = await self._look()
            except RedisError as error:
                component.fail(f"Redis does not answer: {error}")
                vigil.missed()
            else:
                if vigil.saw(servers, time.monotonic()) or lost:
                    disturbed()
                component.ok()
            await asyncio.sleep(min(1.0, self._seconds / 6))

    async def _look(self) -> tuple[frozenset[str], bool]:
        """Redis's servers, and whether the lease was over. Raises RedisError."""
        servers = await self._redis.servers(DEADLINE)
        lease = await self._redis.one(cmd("EXISTS", lease_key(self._gateway)), DEADLINE)
        lost = self._held and lease == 0
        if lease == 0 or time.monotonic() >= self._renew_at:
            await self.renew()
        return servers, lost

    async def renew(self) -> None:
        """Raises RedisError."""
        lease = cmd("SET", lease_key(self._gateway), self._address, "PX", int(self._seconds * 1000))
        entry = cmd("HSET", GATEWAYS, self._gateway, self._address)
        for answer in await self._redis.run([lease, entry], DEADLINE):
            if isinstance(answer, RedisError):
                raise answer
        self._held, self._renew_at = True, time.monotonic() + self._seconds / 3

    async def give_up(self, *, released: bool = True) -> None:
        """The orderly end: nobody asks this gateway any more. Without `released` its entry stays, and others end the
        sessions that it did not."""
        commands = [cmd("DEL", lease_key(self._gateway))]
        if released:
            commands.append(cmd("HDEL", GATEWAYS, self._gateway))
        await self._redis.run(commands, DEADLINE)
