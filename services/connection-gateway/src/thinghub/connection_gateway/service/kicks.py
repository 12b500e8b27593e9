"""Kicks: ending sessions here and elsewhere, up to an epoch (invariants §1).

A gateway that is told closes the sessions and waits for their uplink to be on the bus before it answers, so that a
device's messages keep their order when it moves. Gateways without a lease are not asked; the others have 500 ms, in
one batch each.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from thinghub.connection_gateway.domain.claims import Claim, Previous
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.logins import TOPOLOGY
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.errors import ClaimsUnavailable, PeerUnavailable, QueueUnavailable
from thinghub.connection_gateway.ports import Claims, Count, KickTarget, Peers, Queues
from thinghub.connection_gateway.service.closing import Closing
from thinghub.connection_gateway.service.outboxes import Outboxes

DEADLINE = 0.5
# A little less than what the caller waits, so that its answer arrives.
FLUSH_SECONDS = 0.35
# Then for what it acknowledged to be taken from its queue.
SETTLE_SECONDS = 0.05
# The word under which device-registry ends the session of a device that is no more.
DELETED = "deleted"

log = logging.getLogger("thinghub.connection_gateway.kicks")

_Gateway = tuple[str, str]


class Kicks:
    def __init__(
        self,
        gateway: str,
        claims: Claims,
        peers: Peers,
        table: SessionTable,
        closing: Closing,
        outboxes: Outboxes,
        queues: Queues,
        count: Count,
    ) -> None:
        self._gateway = gateway
        self._claims = claims
        self._peers = peers
        self._table = table
        self._closing = closing
        self._outboxes = outboxes
        self._queues = queues
        self._count = count

    async def kick(self, targets: Sequence[KickTarget]) -> list[bool]:
        """Bars and ends sessions wherever they are; one answer a target: whether there was one and it was told to end.
        Raises ClaimsUnavailable before anything is done when a bar cannot be stored."""
        await self._bar(targets)
        try:
            found = await self._claims.find([target.device for target in targets])
        except ClaimsUnavailable:
            log.warning("claims cannot be read: only own sessions are ended")
            return await self.end(targets)
        here, there = self._by_owner(targets, found)
        answers = [False] * len(targets)
        ended, *others = await asyncio.gather(
            self.end([target for _, target in here]),
            *(self._tell(gateway, [target for _, target in told]) for gateway, told in there.items()),
        )
        for told, results in zip([here, *there.values()], [ended, *others], strict=True):
            for (index, _), kicked in zip(told, results, strict=True):
                answers[index] = kicked
        await self._forget([target.device for target in targets if target.reason == DELETED])
        return answers

    async def end(self, targets: Sequence[KickTarget]) -> list[bool]:
        """Ends own sessions and waits for their uplink, within the deadline."""
        sessions = [(self._ending(target), target.reason) for target in targets]
        flushes = [flush for ending, reason in sessions for flush in self._closing.close(ending, reason)]
        if flushes:
            await asyncio.wait(flushes, timeout=FLUSH_SECONDS)
        await self._outboxes.settled({target.device for target in targets}, SETTLE_SECONDS)
        return [bool(ending) for ending, _ in sessions]

    def end_own(self, previous: Previous, device: Device) -> bool:
        """Ends the former session when this gateway held it; False: another one did. Both sessions' messages go through
        the same core, which keeps their order, so nothing is waited for."""
        if previous.gateway != self._gateway:
            return False
        self._count("takeovers_here")
        self._closing.close(self._table.supersede(device, previous.epoch), "taken_over")
        return True

    async def tell_former_owners(self, former: Iterable[tuple[Device, Previous]]) -> None:
        """Kicks at other gateways; whoever does not answer in time is left to find out by itself."""
        told: dict[_Gateway, list[KickTarget]] = {}
        for device, previous in former:
            target = KickTarget(device, previous.epoch, "taken_over")
            told.setdefault((previous.gateway, previous.address), []).append(target)
            self._count("takeovers_elsewhere")
        await asyncio.gather(*(self._tell(gateway, targets) for gateway, targets in told.items()))

    def _ending(self, target: KickTarget) -> list[Session]:
        """Without an epoch only what is connected now ends: a later session of the device must not find itself
        ended. Who connected by itself does not end with its place behind a gateway."""
        newest = self._table.of(target.device)
        if target.reason == TOPOLOGY and newest is not None and newest.parent is None:
            return []
        epoch = target.max_epoch or (newest.epoch if newest else 0)
        return self._table.supersede(target.device, epoch)

    async def _forget(self, devices: Sequence[Device]) -> None:
        """A device that is registered anew under the same name must not find the old one's messages."""
        try:
            await self._queues.forget(devices)
        except QueueUnavailable as fault:
            log.warning("what %d deleted devices kept stays until its time: %s", len(devices), fault)

    async def _bar(self, targets: Sequence[KickTarget]) -> None:
        bars = [(target.device, target.bar_seconds) for target in targets if target.bar_seconds]
        if bars:
            await self._claims.bar(bars)

    def _by_owner(
        self, targets: Sequence[KickTarget], found: Sequence[Claim | None]
    ) -> tuple[list[tuple[int, KickTarget]], dict[_Gateway, list[tuple[int, KickTarget]]]]:
        """Index and target of each, ours and by gateway; what ends is no newer than the claim that was seen."""
        here: list[tuple[int, KickTarget]] = []
        there: dict[_Gateway, list[tuple[int, KickTarget]]] = {}
        for index, (target, claim) in enumerate(zip(targets, found, strict=True)):
            if claim is None or (target.max_epoch and claim.epoch > target.max_epoch):
                continue
            told = (index, KickTarget(target.device, claim.epoch, target.reason))
            if claim.gateway == self._gateway:
                here.append(told)
            else:
                there.setdefault((claim.gateway, claim.address), []).append(told)
        return here, there

    async def _tell(self, gateway: _Gateway, targets: Sequence[KickTarget]) -> list[bool]:
        incarnation, address = gateway
        try:
            if not (await self._claims.alive([incarnation]))[0]:
                self._count("kicks_without_lease")
                return [False] * len(targets)
            return await self._peers.kick(address, targets, DEADLINE)
        except (ClaimsUnavailable, PeerUnavailable) as fault:
            self._count("kicks_unanswered")
            log.warning("gateway %s was not told of %d kicks: %s", address, len(targets), fault)
            return [False] * len(targets)
