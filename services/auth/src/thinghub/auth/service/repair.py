"""Repair: writes recent changes to the cache again.

It closes two gaps: a change whose cache write failed and whose caller never repeated, and cache writes that a Redis
failover lost. Each round covers what changed since a little before the round before; after a failure the whole window.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Never

from thinghub.auth.domain.devices import DeviceId
from thinghub.auth.errors import StoreUnavailable
from thinghub.auth.ports.stores import CredentialCache, DeviceCredentials, Position

PAGE = 500
OVERLAP_S = 60.0
WINDOW_S = 600.0
KEEP_DELETED_S = 24 * 3600.0
_MICRO = 1_000_000


class Repair:
    """`clock` gives epoch seconds; versions are epoch microseconds of the store's clock. A round also deletes former
    secrets whose time is over."""

    def __init__(
        self,
        store: DeviceCredentials,
        cache: CredentialCache,
        clock: Callable[[], float],
        log: logging.Logger,
        every_s: float,
    ) -> None:
        self._store = store
        self._cache = cache
        self._clock = clock
        self._log = log
        self._every_s = every_s
        self._from_s = clock() - WINDOW_S

    async def run(self) -> Never:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.round()
            except StoreUnavailable:
                self._log.debug("cache repair waits for the stores")

    async def round(self) -> int:
        """Number of credentials written. Raises StoreUnavailable."""
        started = self._clock()
        since, self._from_s = self._from_s, started - WINDOW_S
        written = await self._rewrite(since)
        while over := await self._store.forget_former(int(started * 1000), PAGE):
            await self._cache.put(over)
        await self._store.purge_deleted(int((started - KEEP_DELETED_S) * _MICRO))
        self._from_s = started - OVERLAP_S
        return written

    async def _rewrite(self, since_s: float) -> int:
        position, written = Position(int(since_s * _MICRO), DeviceId("", "")), 0
        while page := await self._store.changed_after(position, PAGE):
            await self._cache.put(page)
            written += len(page)
            position = Position(page[-1].version, page[-1].device)
        return written
