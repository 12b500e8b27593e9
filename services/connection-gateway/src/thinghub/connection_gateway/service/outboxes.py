"""Outboxes: the queues of the persistent sessions that are connected here, pushed in order (invariants §4).

    woken (connected, stored, acknowledged) -> deletions written -> messages taken, one batch -> handed over

Deletions go first, so that nothing which a device acknowledged here is taken once more. While it is not known whether
the connection took the last messages of a session, that session waits; what was refused follows after a pause.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.outbox import Missed, Outbox, Stored, Taken, Window
from thinghub.connection_gateway.domain.outcomes import Outcome
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.errors import QueueUnavailable
from thinghub.connection_gateway.ports import Connections, Count, Pushed, Queues
from thinghub.connection_gateway.service.closing import Closing
from thinghub.connection_gateway.service.deletions import Deletions

BATCH = 64
# A refusal of the connection comes within this.
GRACE_SECONDS = 0.05
# Until a refused message is tried again: over the device's rate, or the connection is full.
PAUSE_SECONDS = 0.2
# Until a device whose store is away is tried again.
RETRY_SECONDS = 1.0

log = logging.getLogger("thinghub.connection_gateway.outboxes")

Waiters = dict[int, list[asyncio.Future[Outcome]]]


@dataclass(eq=False, slots=True)
class _Open:
    """`unsure` are the tokens handed over last, which may still be refused; None: all of that is known. `waiters` wait
    for what becomes of a sequence."""

    session: Session
    outbox: Outbox
    unsure: set[int] | None = None
    timer: asyncio.TimerHandle | None = None
    waiters: Waiters = field(default_factory=dict)


class Outboxes:
    """`bound` messages, and `max_bytes` of them, are under way at most, over all sessions."""

    def __init__(
        self,
        connections: Connections,
        queues: Queues,
        closing: Closing,
        table: SessionTable,
        window: Window,
        bound: int,
        max_bytes: int,
        renew_seconds: float,
        tally: Count,
    ) -> None:
        self._connections = connections
        self._queues = queues
        self._closing = closing
        self._table = table
        self._window = window
        self._bound = bound
        self._max_bytes = max_bytes
        self._renew_seconds = renew_seconds
        self._tally = tally
        self._open: dict[int, _Open] = {}
        self._of: dict[Device, _Open] = {}
        self._ready: dict[_Open, None] = {}
        self._tokens = count(-1, -1)  # those of other pushes are positive
        self._flight: dict[int, tuple[_Open, Stored]] = {}
        self._bytes = 0
        self._wake = asyncio.Event()
        self._deletions = Deletions(queues, self._wake.set)
        self._look = asyncio.Event()

    def begin(self, sessions: Iterable[Session]) -> None:
        """Sessions that are connected now; those that keep nothing are left alone."""
        for session in sessions:
            if not session.clean:
                opened = self._open[session.handle] = self._of[session.device] = _Open(session, Outbox(self._window))
                self._awake(opened)

    def end(self, handle: int) -> None:
        """Its connection ended. What it did not acknowledge stays queued."""
        opened = self._open.pop(handle, None)
        if opened is None:
            return
        self._ready.pop(opened, None)
        if opened.timer is not None:
            opened.timer.cancel()
        if self._of.get(opened.session.device) is opened:
            del self._of[opened.session.device]
        for sequence in list(opened.waiters):
            _tell(opened, sequence, Outcome.QUEUED)

    def on_delivered(self, token: int, outcome: str) -> None:
        """What the connection says of a message that was handed over here: tokens below 0."""
        found = self._flight.pop(token, None)
        if found is None:
            return
        opened, message = found
        self._bytes -= len(message.payload)
        self._answered(opened, message, Outcome(outcome))
        if opened.unsure and token in opened.unsure:
            opened.unsure.discard(token)
            if not opened.unsure:
                self._sure(opened)
        self._awake(opened)
        if self._ready:
            self._wake.set()  # there is room again

    async def pushed(self, stored: Sequence[tuple[Device, int]], wait_ms: int) -> list[Outcome]:
        """Messages that are in the queues under these sequences: one outcome each, in order. What is not acknowledged
        within `wait_ms` stays queued."""
        waiting: dict[int, asyncio.Future[Outcome]] = {}
        outcomes = [Outcome.QUEUED] * len(stored)
        for index, (device, sequence) in enumerate(stored):
            opened = self._of.get(device)
            if opened is None:
                continue
            opened.outbox.heard(sequence)
            self._awake(opened)
            if opened.outbox.settled(sequence):
                outcomes[index] = Outcome.DELIVERED
            elif wait_ms:
                waiting[index] = asyncio.get_running_loop().create_future()
                opened.waiters.setdefault(sequence, []).append(waiting[index])
        if waiting:
            await asyncio.wait(waiting.values(), timeout=wait_ms / 1000)
        for index, future in waiting.items():
            if future.done():
                outcomes[index] = future.result()
            else:
                self._no_longer_waits(*stored[index], future)
        return outcomes

    def look(self) -> None:
        """Messages may have been stored that nobody could say: claims were missing."""
        self._look.set()

    async def run(self) -> None:
        """Pushes, deletes and renews, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._push_all())
            tasks.create_task(self._renew_all())

    async def settled(self, devices: set[Device], deadline: float) -> None:
        """Waits until what these devices acknowledged is deleted, no longer than `deadline` seconds."""
        await self._deletions.settled(devices, deadline)

    def __len__(self) -> int:
        return len(self._flight)

    async def _push_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._turn()

    async def _turn(self) -> None:
        await self._deletions.write()
        wanting = [one for one in self._ready if self._wants(one)][:BATCH]
        if len(self._flight) >= self._bound or self._bytes >= self._max_bytes:
            wanting = []  # woken again by what is answered
        taken = await self._queues.take([one.outbox.wish(one.session.device, self._epoch(one)) for one in wanting])
        for opened, found in zip(wanting, taken, strict=True):
            self._ready.pop(opened, None)
            if isinstance(found, Taken):
                self._took(opened, found)
            elif found is Missed.UNAVAILABLE:
                self._tally("queue_unavailable")
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._awake, opened)
        for opened in [one for one in self._ready if one.unsure is not None or not one.outbox.behind]:
            del self._ready[opened]
        if wanting:
            self._wake.set()

    def _wants(self, opened: _Open) -> bool:
        """What could not be deleted yet would be taken once more."""
        return opened.unsure is None and opened.outbox.behind and not self._deletions.failed(opened.session.device)

    def _took(self, opened: _Open, taken: Taken) -> None:
        opened.outbox.took(taken)
        for sequence in taken.expired:
            self._tally("queue_expired")
            _tell(opened, sequence, Outcome.EXPIRED)
        if opened.session.handle in self._open:
            self._hand_over(opened)
            self._awake(opened)

    def _hand_over(self, opened: _Open) -> None:
        messages = opened.outbox.hand_over()
        if not messages:
            return
        opened.unsure = set()
        opened.timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._sure, opened)
        handed = []
        for message in messages:
            token = next(self._tokens)
            self._flight[token] = (opened, message)
            opened.unsure.add(token)
            self._bytes += len(message.payload)
            handed.append(
                Pushed(
                    token,
                    opened.session.handle,
                    message.topic,
                    message.payload,
                    1,
                    message.must_subscribe,
                    message.dup,
                )
            )
        self._connections.deliver(handed)

    def _answered(self, opened: _Open, message: Stored, outcome: Outcome) -> None:
        if outcome is Outcome.FAILED:
            opened.outbox.refused(message)
        elif outcome in (Outcome.DELIVERED, Outcome.NO_SUBSCRIBER):
            self._tally(f"queue_{outcome}")
            opened.outbox.done(message.sequence)
            self._deletions.add(opened.session.device, message.sequence)
            _tell(opened, message.sequence, outcome)
        elif outcome is Outcome.TIMEOUT and opened.session.handle in self._open:
            self._closing.close([opened.session], "unacknowledged")

    def _sure(self, opened: _Open) -> None:
        """What was refused of the last messages is known by now."""
        if opened.timer is not None:
            opened.timer.cancel()
            opened.timer = None
        if opened.outbox.held_back and opened.session.handle in self._open:
            opened.timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._again, opened)
            return
        opened.unsure = None
        self._awake(opened)

    def _again(self, opened: _Open) -> None:
        opened.timer, opened.unsure = None, None
        opened.outbox.again()
        self._hand_over(opened)
        self._awake(opened)

    def _awake(self, opened: _Open) -> None:
        if opened.session.handle in self._open and opened.outbox.behind:
            self._ready[opened] = None
            self._wake.set()

    async def _renew_all(self) -> None:
        """Now and then, what connected sessions keep is kept on, and a wake-up that was lost is made good."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._renew_seconds)
            self._look.clear()
            opened = list(self._open.values())
            for start in range(0, len(opened), BATCH):
                try:
                    await self._renew(opened[start : start + BATCH])
                except QueueUnavailable as fault:
                    log.warning("what sessions keep could not be renewed: %s", fault)
                await asyncio.sleep(0.02)

    async def _renew(self, opened: Sequence[_Open]) -> None:
        newest = await self._queues.renew([(one.session.device, self._epoch(one)) for one in opened])
        for one, sequence in zip(opened, newest, strict=True):
            if sequence < 0 and one.session.handle in self._open:
                log.warning("what the session of %s kept was lost: it has to come again", one.session.device.key)
                self._closing.close([one.session], "store")
            one.outbox.heard(sequence)
            self._awake(one)

    def _epoch(self, opened: _Open) -> int:
        """A session may have been claimed once more since it began."""
        session = self._table.by_handle(opened.session.handle)
        return session.epoch if session else opened.session.epoch

    def _no_longer_waits(self, device: Device, sequence: int, future: asyncio.Future[Outcome]) -> None:
        opened = self._of.get(device)
        waiters = opened.waiters.get(sequence, []) if opened else []
        if opened and future in waiters:
            waiters.remove(future)
            if not waiters:
                del opened.waiters[sequence]


def _tell(opened: _Open, sequence: int, outcome: Outcome) -> None:
    for future in opened.waiters.pop(sequence, ()):
        if not future.done():
            future.set_result(outcome)
