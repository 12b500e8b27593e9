"""Keeping: QoS 1 messages for persistent sessions go to their queue first, and only then to whoever owns the session
(invariants §4), so that none is lost however the device moves.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.kept import Kept
from thinghub.connection_gateway.domain.outcomes import Downlink, Outcome
from thinghub.connection_gateway.domain.sessions import SessionTable
from thinghub.connection_gateway.errors import PeerUnavailable, QueueUnavailable
from thinghub.connection_gateway.ports import Count, Peers, Put, Queues
from thinghub.connection_gateway.service.outboxes import Outboxes

# None: nothing is kept for the device.
Verdict = Outcome | None


class Keeping:
    def __init__(
        self, gateway: str, queues: Queues, outboxes: Outboxes, peers: Peers, table: SessionTable, count: Count
    ) -> None:
        self._gateway = gateway
        self._queues = queues
        self._outboxes = outboxes
        self._peers = peers
        self._table = table
        self._count = count

    async def kept(self, devices: set[Device]) -> dict[Device, Kept | None] | None:
        """What their persistent sessions keep; None while Redis is away."""
        wanted = list(devices)
        try:
            return dict(zip(wanted, await self._queues.kept(wanted), strict=True))
        except QueueUnavailable:
            return None

    async def store(
        self, messages: Sequence[Downlink], kept: dict[Device, Kept | None] | None
    ) -> tuple[list[Verdict], list[tuple[int, Put]]]:
        """What becomes of each message, in order, None where it is not for a queue; and which of them were stored, for
        `tell`. The messages are QoS 1."""
        if kept is None:
            return [self._without_redis(message.device) for message in messages], []
        verdicts: list[Verdict] = [_refusal(message, kept.get(message.device)) for message in messages]
        wanted = [
            index
            for index, message in enumerate(messages)
            if verdicts[index] is None and kept.get(message.device) is not None
        ]
        put = await self._queues.put([messages[index] for index in wanted]) if wanted else []
        stored: list[tuple[int, Put]] = []
        for index, one in zip(wanted, put, strict=True):
            if one is not None and one.place is None:
                verdicts[index] = Outcome.FAILED
            elif one is not None:
                verdicts[index] = Outcome.QUEUED
                stored.append((index, one))
        return verdicts, stored

    async def tell(
        self, messages: Sequence[Downlink], stored: Sequence[tuple[int, Put]], wait_ms: int
    ) -> list[tuple[int, Outcome]]:
        """Wakes the owners of the sessions, one call each, and hears what became of the messages."""
        places: dict[str, list[tuple[int, Downlink]]] = {}
        displacing = set()
        for index, put in stored:
            if put.place is None:
                continue
            sequence = put.place.sequence
            short = replace(messages[index], topic="", payload=b"", origin="", handle=0, sequence=sequence)
            owner = put.address if put.gateway != self._gateway else self._gateway
            places.setdefault(owner, []).append((index, short))
            displacing |= self._counted(index, put)
        answers = await asyncio.gather(
            *(self._wake(owner, [short for _, short in told], wait_ms) for owner, told in places.items())
        )
        outcomes = []
        for told, answer in zip(places.values(), answers, strict=True):
            for (index, _), outcome in zip(told, answer, strict=True):
                outcomes.append((index, Outcome.DISPLACED if index in displacing else outcome))
        return outcomes

    async def pushed(self, messages: Sequence[Downlink], wait_ms: int) -> list[Outcome]:
        """Messages that another gateway stored for sessions of this one."""
        return await self._outboxes.pushed([(one.device, one.sequence) for one in messages], wait_ms)

    def _counted(self, index: int, put: Put) -> set[int]:
        """The message, if others gave way to it."""
        place = put.place
        if place is None:
            return set()
        for _ in range(place.displaced):
            self._count("queue_displaced")
        for _ in range(place.expired):
            self._count("queue_expired")
        return {index} if place.displaced else set()

    async def _wake(self, owner: str, messages: Sequence[Downlink], wait_ms: int) -> list[Outcome]:
        """A wake-up that is lost is made good when the owner next looks."""
        if owner == self._gateway:
            return await self.pushed(messages, wait_ms)
        if owner:
            try:
                return await self._peers.deliver(owner, messages, wait_ms)
            except PeerUnavailable:
                self._count("queue_wakes_unanswered")
        return [Outcome.QUEUED] * len(messages)

    def _without_redis(self, device: Device) -> Verdict:
        """Nothing overtakes what is queued, and nothing can be queued."""
        session = self._table.of(device)
        return Outcome.FAILED if session is not None and not session.clean else None


def _refusal(message: Downlink, kept: Kept | None) -> Verdict:
    """A command on a topic that the session does not take; replies come whatever was subscribed."""
    if kept is None or message.origin or kept.receives(message.device, message.topic):
        return None
    return Outcome.NO_SUBSCRIBER
