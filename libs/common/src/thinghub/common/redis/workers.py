"""Worker ids: small numbers that no two live processes share, leased in Redis (`worker:{id}`).

    free --SET NX--> held --renewed every third of the lease--> held
                      └── key gone: taken again if still free; another's: a new id is leased

`current` answers only while the last renewal is younger than the lease, by our own clock: a process that was frozen, or
cut off from Redis, stops using an id before Redis gives it to somebody else. The renewal is timed from before it was
sent, so the lease in Redis always ends later than ours.
"""

import asyncio
import random
from typing import Never

from thinghub.common.errors import Unavailable
from thinghub.common.health import Component
from thinghub.common.redis.port import Redis, RedisError, Script, cmd, script

WORKERS = 1024
CANDIDATES = 16
RETRY_SECONDS = 1.0

_RENEW = Script("""
local holder = redis.call('GET', KEYS[1])
if holder == ARGV[1] then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return 1
end
if not holder then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
""")

_RELEASE = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")


class NoWorkerId(Unavailable):
    """No worker id is held at the moment."""

    reason = "worker_unavailable"


class WorkerLease:
    """One worker id for one process. `owner` is unique to it; others may read it under the key."""

    def __init__(self, redis: Redis, owner: str, lease_seconds: float = 30.0) -> None:
        self._redis = redis
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._worker = -1
        self._until = 0.0

    def current(self) -> int:
        """The id held now, 0 to 1023. Raises NoWorkerId."""
        if asyncio.get_running_loop().time() >= self._until:
            raise NoWorkerId("no worker id is held")
        return self._worker

    async def hold(self, component: Component) -> Never:
        """Leases and renews until cancelled, then gives the id back. `component` says whether one is held."""
        try:
            while True:
                try:
                    held = await self._renew() or await self._acquire()
                except RedisError as error:
                    self._report(component, f"Redis: {error}")
                    await asyncio.sleep(min(RETRY_SECONDS, self._lease_seconds / 6))
                    continue
                self._report(component, "" if held else "no worker id is free")
                await asyncio.sleep(self._lease_seconds / 3 if held else min(RETRY_SECONDS, self._lease_seconds / 6))
        finally:
            await self._release()

    def _report(self, component: Component, why: str) -> None:
        if not why:
            component.ok()
        elif asyncio.get_running_loop().time() >= self._until:
            component.fail(why)

    async def _renew(self) -> bool:
        if self._worker < 0:
            return False
        sent = asyncio.get_running_loop().time()
        answer = await self._redis.one(script(_RENEW, [worker_key(self._worker)], [self._owner, self._ms()]))
        if answer == 1:
            self._until = sent + self._lease_seconds
            return True
        self._worker, self._until = -1, 0.0
        return False

    async def _acquire(self) -> bool:
        for worker in random.sample(range(WORKERS), CANDIDATES):
            sent = asyncio.get_running_loop().time()
            answer = await self._redis.one(cmd("SET", worker_key(worker), self._owner, "NX", "PX", self._ms()))
            if answer is not None:
                self._worker, self._until = worker, sent + self._lease_seconds
                return True
        return False

    async def _release(self) -> None:
        if self._worker < 0:
            return
        self._until = 0.0
        await self._redis.run([script(_RELEASE, [worker_key(self._worker)], [self._owner])], deadline=1.0)

    def _ms(self) -> int:
        return int(self._lease_seconds * 1000)


def worker_key(worker: int) -> str:
    """Where the owner of an id is written."""
    return f"worker:{{{worker}}}"
