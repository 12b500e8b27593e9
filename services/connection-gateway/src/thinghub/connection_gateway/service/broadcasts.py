"""Broadcast (invariants §4): QoS 0 to the online devices of a product, on every gateway that holds a lease.

    asked ──> admitted once in so long, for all gateways together (Redis)
          ──> every gateway with a lease, itself included ──> own sessions of the product, in paced portions

One broadcast at a time is sent on a gateway, so that the pace is the gateway's; few may wait. Nothing is retried: who
is not reached is counted.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from thinghub.connection_gateway.domain.broadcasts import Broadcast, Reached, counted
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.errors import BroadcastInvalid, BroadcastTooOften, PeerUnavailable
from thinghub.connection_gateway.ports import Count
from thinghub.connection_gateway.service.pushes import Push, Pushes

PORTION = 200
MAX_WAITING = 8


class Roster(Protocol):
    """Raises ClaimsUnavailable."""

    async def gateways(self) -> Sequence[tuple[str, str]]:
        """Incarnation and address of each that holds its lease."""

    async def admit(self, kind: str, product_key: str, seconds: int) -> bool:
        """False when one of this kind was admitted less than so long ago."""


class BroadcastPeers(Protocol):
    async def broadcast(self, address: str, broadcast: Broadcast) -> Reached:
        """To own sessions of the peer. Raises PeerUnavailable."""


class Broadcasts:
    """`per_second`: devices of this gateway. `every_device_s` and `topic_s`: seconds between two of a product; 0 is no
    limit."""

    def __init__(
        self,
        gateway: str,
        roster: Roster,
        peers: BroadcastPeers,
        table: SessionTable,
        pushes: Pushes,
        per_second: int,
        every_device_s: int,
        topic_s: int,
        count: Count,
    ) -> None:
        self._gateway = gateway
        self._roster = roster
        self._peers = peers
        self._table = table
        self._pushes = pushes
        self._pause = PORTION / per_second
        self._every_device_s = every_device_s
        self._topic_s = topic_s
        self._count = count
        self._sending = asyncio.Lock()
        self._waiting = 0

    async def broadcast(self, broadcast: Broadcast) -> Reached:
        """Raises BroadcastInvalid, BroadcastTooOften, ClaimsUnavailable."""
        _check(broadcast)
        kind, seconds = ("topic", self._topic_s) if broadcast.topic else ("all", self._every_device_s)
        if seconds and not await self._roster.admit(kind, broadcast.product_key, seconds):
            raise BroadcastTooOften(f"a product has one such broadcast in {seconds} s")
        others = [one for one in await self._roster.gateways() if one[0] != self._gateway]
        parts = await asyncio.gather(self.broadcast_here(broadcast), *(self._ask(*one, broadcast) for one in others))
        reached = sum(parts, Reached())
        for _ in reached.unreachable:
            self._count("broadcast_unreachable")
        return reached

    async def _ask(self, gateway: str, address: str, broadcast: Broadcast) -> Reached:
        try:
            return await self._peers.broadcast(address, broadcast)
        except PeerUnavailable:
            return Reached(unreachable=(gateway,))

    async def broadcast_here(self, broadcast: Broadcast) -> Reached:
        """To own sessions; what another gateway forwards. Raises BroadcastInvalid, BroadcastTooOften."""
        _check(broadcast)
        if self._waiting >= MAX_WAITING:
            raise BroadcastTooOften("too many broadcasts are under way")
        self._waiting += 1
        try:
            async with self._sending:
                return await self._send(broadcast)
        finally:
            self._waiting -= 1

    async def _send(self, broadcast: Broadcast) -> Reached:
        sessions = [one for one in self._table.live() if one.device.product_key == broadcast.product_key]
        reached = Reached()
        for start in range(0, len(sessions), PORTION):
            if start:
                await asyncio.sleep(self._pause)
            reached += await self._portion(broadcast, sessions[start : start + PORTION])
        return reached

    async def _portion(self, broadcast: Broadcast, sessions: Sequence[Session]) -> Reached:
        pushes = [
            Push(one.handle, broadcast.topic_of(one.device), broadcast.payload, 0, must_subscribe=True)
            for one in sessions
        ]
        outcomes = await self._pushes.push(pushes, 0)
        for outcome in outcomes:
            self._count(f"broadcast_{outcome}")
        return counted(outcomes)


def _check(broadcast: Broadcast) -> None:
    if not broadcast.is_valid:
        raise BroadcastInvalid("a broadcast goes to /broadcast/{ProductKey}/... and has at most 64 kB")
