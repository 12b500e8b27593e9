"""Deliver: messages to devices, wherever they are connected (invariants §4).

    reply to a connection of ours ──> that session
    QoS 1 for a persistent session ─> its queue (keeping)
    else claims are read, one batch ─┬─ ours ───────> the device's session here
                                     ├─ another's ──> forwarded, one batch a gateway
                                     └─ nobody's ───> offline
    whoever turned out offline is looked up again; if its claim moved, it is tried once more there

While Redis is away, devices connected here are still served; the others fail.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from thinghub.connection_gateway.domain.claims import Claim
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.outcomes import Downlink, Outcome
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.errors import ClaimsUnavailable, PeerUnavailable
from thinghub.connection_gateway.ports import Claims, Peers
from thinghub.connection_gateway.service.keeping import Keeping
from thinghub.connection_gateway.service.pushes import Push, Pushes

MAX_WAIT_MS = 8000

Found = dict[Device, Claim | None]


class Delivery:
    def __init__(
        self,
        gateway: str,
        claims: Claims,
        peers: Peers,
        table: SessionTable,
        pushes: Pushes,
        keeping: Keeping,
        clock_ms: Callable[[], int],
    ) -> None:
        self._gateway = gateway
        self._claims = claims
        self._peers = peers
        self._table = table
        self._pushes = pushes
        self._keeping = keeping
        self._clock_ms = clock_ms

    async def deliver(self, messages: Sequence[Downlink], wait_ms: int) -> list[Outcome]:
        """One outcome a message, in order."""
        wait_ms = min(wait_ms, MAX_WAIT_MS)
        arrived = self._clock_ms()
        outcomes, found = await self._round(messages, wait_ms, arrived)
        return await self._once_more(messages, outcomes, found, wait_ms, arrived)

    async def deliver_here(self, messages: Sequence[Downlink], wait_ms: int) -> list[Outcome]:
        """The same for own sessions only: what another gateway forwards, or has stored in their queues."""
        wait_ms = min(wait_ms, MAX_WAIT_MS)
        stored = [index for index, message in enumerate(messages) if message.sequence]
        direct = [index for index, message in enumerate(messages) if not message.sequence]
        sessions = [self._session(messages[index]) for index in direct]
        results = await asyncio.gather(
            self._keeping.pushed([messages[index] for index in stored], wait_ms),
            self._push([messages[index] for index in direct], sessions, wait_ms, None),
        )
        return _merged(len(messages), zip((stored, direct), results, strict=True))

    async def _round(
        self, messages: Sequence[Downlink], wait_ms: int, arrived: int
    ) -> tuple[list[Outcome], Found | None]:
        """One outcome a message, and the claims that were found; none of a message that went to a queue."""
        away = {message.device for message in messages if not self._replies_here(message)}
        asked = {message.device for message in messages if message.qos and not self._replies_here(message)}
        found, kept = await asyncio.gather(self._find(away), self._keeping.kept(asked))
        qos1 = [
            index
            for index, message in enumerate(messages)
            if message.device in asked and message.qos and not self._expired(message, arrived)
        ]
        candidates = [messages[index] for index in qos1]
        verdicts, stored = await self._keeping.store(candidates, kept)
        settled = {index: verdict for index, verdict in zip(qos1, verdicts, strict=True) if verdict is not None}
        direct = [index for index in range(len(messages)) if index not in settled]
        told, outcomes = await asyncio.gather(
            self._keeping.tell(candidates, stored, wait_ms),
            self._deliver([messages[index] for index in direct], found, wait_ms, arrived),
        )
        settled.update(zip(direct, outcomes, strict=True))
        settled.update((qos1[place], outcome) for place, outcome in told)
        return [settled[index] for index in range(len(messages))], found

    async def _find(self, devices: set[Device]) -> Found | None:
        """The devices' claims; None when Redis is away."""
        if not devices:
            return {}
        wanted = list(devices)
        try:
            return dict(zip(wanted, await self._claims.find(wanted), strict=True))
        except ClaimsUnavailable:
            return None

    async def _deliver(
        self, messages: Sequence[Downlink], found: Found | None, wait_ms: int, arrived: int
    ) -> list[Outcome]:
        here: list[int] = []
        there: dict[str, list[int]] = {}
        outcomes = [Outcome.OFFLINE if found is not None else Outcome.FAILED] * len(messages)
        for index, message in enumerate(messages):
            claim = found.get(message.device) if found is not None else None
            if self._answered_session(message) or self._is_ours(message.device, claim, found is None):
                here.append(index)
            elif claim is not None:
                there.setdefault(claim.address, []).append(index)
        sessions = [self._session(messages[index]) for index in here]
        results = await asyncio.gather(
            self._push([messages[index] for index in here], sessions, wait_ms, arrived),
            *(
                self._forward(address, [messages[index] for index in indexes], wait_ms, arrived)
                for address, indexes in there.items()
            ),
        )
        for indexes, result in zip([here, *there.values()], results, strict=True):
            for index, outcome in zip(indexes, result, strict=True):
                outcomes[index] = outcome
        return outcomes

    async def _once_more(
        self,
        messages: Sequence[Downlink],
        outcomes: list[Outcome],
        found: Found | None,
        wait_ms: int,
        arrived: int,
    ) -> list[Outcome]:
        """Tries devices again whose claim moved while the message was on its way."""
        missed = [index for index, outcome in enumerate(outcomes) if outcome is Outcome.OFFLINE and found is not None]
        claimed = {messages[index].device for index in missed if found and found.get(messages[index].device)}
        again = await self._find(claimed)
        if not again or found is None:
            return outcomes
        moved = [
            index
            for index in missed
            if (claim := again.get(messages[index].device)) and claim != found.get(messages[index].device)
        ]
        if moved:
            retried, _ = await self._round([messages[index] for index in moved], wait_ms, arrived)
            for index, outcome in zip(moved, retried, strict=True):
                outcomes[index] = outcome
        return outcomes

    async def _push(
        self, messages: Sequence[Downlink], sessions: Sequence[Session | None], wait_ms: int, arrived: int | None
    ) -> list[Outcome]:
        outcomes = [Outcome.OFFLINE] * len(messages)
        pushes, indexes = [], []
        for index, (message, session) in enumerate(zip(messages, sessions, strict=True)):
            if arrived is not None and self._expired(message, arrived):
                outcomes[index] = Outcome.EXPIRED
            elif session is not None and (session.clean or not message.qos):
                must_subscribe = not message.origin
                pushes.append(Push(session.handle, message.topic, message.payload, message.qos, must_subscribe))
                indexes.append(index)
        for index, outcome in zip(indexes, await self._pushes.push(pushes, wait_ms), strict=True):
            outcomes[index] = outcome
        return outcomes

    async def _forward(self, address: str, messages: Sequence[Downlink], wait_ms: int, arrived: int) -> list[Outcome]:
        """To another gateway; one that cannot be reached may be gone with its sessions, so the claim is looked at
        again."""
        spent = self._clock_ms() - arrived
        left = [replace(one, ttl_ms=max(one.ttl_ms - spent, 1)) if one.ttl_ms else one for one in messages]
        try:
            return await self._peers.deliver(address, left, wait_ms)
        except PeerUnavailable:
            return await self._unreached([message.device for message in messages], address)

    async def _unreached(self, devices: Sequence[Device], address: str) -> list[Outcome]:
        """Offline when the owner's lease is over, failed while it may be alive."""
        found = await self._find(set(devices))
        if found is None:
            return [Outcome.FAILED] * len(devices)
        claims = [found.get(device) for device in devices]
        owners = sorted({claim.gateway for claim in claims if claim and claim.address == address})
        try:
            alive = dict(zip(owners, await self._claims.alive(owners), strict=True))
        except ClaimsUnavailable:
            return [Outcome.FAILED] * len(devices)
        return [Outcome.FAILED if claim and alive.get(claim.gateway) else Outcome.OFFLINE for claim in claims]

    def _is_ours(self, device: Device, claim: Claim | None, redis_away: bool) -> bool:
        if redis_away:
            return self._table.of(device) is not None
        return claim is not None and claim.gateway == self._gateway

    def _answered_session(self, message: Downlink) -> Session | None:
        """The connection that a reply belongs to, when it is ours and still that device's."""
        if message.origin != self._gateway:
            return None
        session = self._table.by_handle(message.handle)
        return session if session and session.device == message.device else None

    def _replies_here(self, message: Downlink) -> bool:
        """It answers a connection of ours, which needs no look at claims; a persistent session's reply is queued."""
        session = self._answered_session(message)
        return session is not None and (session.clean or not message.qos)

    def _session(self, message: Downlink) -> Session | None:
        return self._answered_session(message) or self._table.of(message.device)

    def _expired(self, message: Downlink, arrived: int) -> bool:
        return bool(message.ttl_ms) and self._clock_ms() - arrived >= message.ttl_ms


def _merged(many: int, parts: Iterable[tuple[Sequence[int], Sequence[Outcome]]]) -> list[Outcome]:
    """Outcomes in the order of the messages, from parts with their indexes."""
    outcomes = {index: outcome for indexes, found in parts for index, outcome in zip(indexes, found, strict=True)}
    return [outcomes[index] for index in range(many)]
