"""Expiry: the sessions of a gateway that died are ended by another one (invariants §1).

    no lease ──lock──> a page of its index ──> claims still its own go ──> offline on the bus ──> index entries go
                            └────────── until the index is empty; then its entry in the list of gateways goes

Every gateway looks, and one does the work: the lock lasts a few seconds and is renewed with each page, and only while
the lease is gone. Each step may be repeated: an index entry goes after its device was reported, so whoever goes on for
one that died as well forgets nobody, and what it says again has the same id. A device that reconnected elsewhere has
another gateway in its claim and is left alone.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Never

from thinghub.connection_gateway.domain.estates import Expired
from thinghub.connection_gateway.domain.sessions import Session
from thinghub.connection_gateway.errors import ClaimsUnavailable
from thinghub.connection_gateway.ports import Count, DurableStatusEvents, Estates, StatusEvent

log = logging.getLogger("thinghub.connection_gateway.expiry")


class Expiry:
    """`trusts` says whether a lease that is over means a dead gateway; `every` is seconds between two looks."""

    def __init__(
        self,
        estates: Estates,
        events: DurableStatusEvents,
        trusts: Callable[[], bool],
        every: float,
        clock_ms: Callable[[], int],
        count: Count,
    ) -> None:
        self._estates = estates
        self._events = events
        self._trusts = trusts
        self._every = every
        self._clock_ms = clock_ms
        self._count = count

    async def run(self) -> Never:
        while True:
            # Gateways started together shall not look together.
            await asyncio.sleep(self._every * random.uniform(0.8, 1.2))
            if not self._trusts():
                continue
            try:
                await self.look()
            except ClaimsUnavailable as fault:
                log.info("dead gateways wait: %s", fault)

    async def look(self) -> None:
        """Raises ClaimsUnavailable; the rest is done another time, or by another one."""
        for gateway in await self._estates.dead():
            if not self._trusts() or not await self._estates.lock(gateway):
                continue
            try:
                await self._expire(gateway)
            finally:
                await self._estates.unlock(gateway)

    async def _expire(self, gateway: str) -> None:
        ended, cursor, more = 0, 0, True
        while more:
            cursor, devices = await self._estates.page(gateway, cursor)
            more = cursor != 0
            # Asked before each page: the gateway may be back, or this one may have been frozen.
            if not await self._estates.lock(gateway) or not self._trusts():
                log.warning("gateway %s is back, or Redis is not to be trusted: its other sessions stay", gateway)
                return
            expired = await self._estates.expire(gateway, devices)
            now = self._clock_ms()
            await self._events.tell([_offline(one, now) for one in expired])
            await self._estates.forget(gateway, devices)
            ended += len(expired)
            for _ in expired:
                self._count("sessions_expired")
        await self._estates.strike(gateway)
        self._count("gateways_expired")
        log.warning("gateway %s is dead: %d sessions were ended in its place", gateway, ended)


def _offline(one: Expired, now: int) -> StatusEvent:
    session = Session(one.device, one.epoch, 0, 0, one.iot_id, one.client, one.since_ms)
    return StatusEvent(session, False, now, one.since_ms)
