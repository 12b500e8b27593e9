"""One action's way to its sink: a bounded queue, one batch at a time, and a circuit.

    deliver(outputs) ── circuit open, or queue full ──────────────> parked (outage lane)
          └─ queued ── batch ── sink ── done
                          │       ├──── refused ──────────────────> parked (1, 3, 10 s), then dead letter, error action
                          │       └──── down: circuit opens ──────> parked (outage lane)
                          └─ not answered within `hold_s` ────────> parked (outage lane)

So `deliver` returns within `hold_s` and the time the bus takes, whatever the sink does: an offset never waits for a
sink (invariants §3). An output that was parked while its batch was under way may reach the sink twice; its id tells.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Never

from thinghub.rule_engine.domain.breaker import Breaker, State
from thinghub.rule_engine.domain.outputs import Output
from thinghub.rule_engine.domain.retries import Delays, Waiting, after_outage, after_refusal
from thinghub.rule_engine.ports.parking import Parking
from thinghub.rule_engine.ports.sinks import Sink, SinkDown
from thinghub.rule_engine.service.observation import Observation

Answers = list[str | None]
Dead = Callable[[Sequence[Output]], Awaitable[None]]
log = logging.getLogger("thinghub.rule_engine.lane")


@dataclass(frozen=True, slots=True)
class Bounds:
    """`queued` outputs wait or are under way at most; `batch` go to the sink at once; `hold_s` is how long a caller
    waits for them."""

    queued: int = 50_000
    batch: int = 1000
    hold_s: float = 2.0


class _Ticket:
    """One caller's outputs and what has become of them so far."""

    def __init__(self, outputs: list[Output]) -> None:
        self.outputs = outputs
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers: Answers = []
        self.taken = 0

    def take(self, most: int) -> list[Output]:
        taken = self.outputs[self.taken : self.taken + most]
        self.taken += len(taken)
        return taken

    def answer(self, answers: Sequence[str | None]) -> None:
        if self.given_up:
            return
        self.answers += answers
        if len(self.answers) == len(self.outputs):
            self.answered.set_result(None)

    def fail(self, error: SinkDown) -> None:
        if not self.given_up:
            self.answered.set_exception(error)

    @property
    def given_up(self) -> bool:
        return self.answered.done()


class Lane:
    def __init__(
        self,
        action_type: str,
        sink: Sink,
        parking: Parking,
        observation: Observation,
        bounds: Bounds,
        delays: Delays,
        now_ms: Callable[[], int],
        dead: Dead | None = None,
    ) -> None:
        self.type = action_type
        self.breaker = Breaker(most_s=min(30.0, delays.outage_s))
        self._sink = sink
        self._parking = parking
        self._observation = observation
        self._bounds = bounds
        self._delays = delays
        self._now_ms = now_ms
        self._dead = dead
        self._tickets: deque[_Ticket] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._batch_since = math.inf

    async def deliver(self, outputs: list[Output]) -> None:
        """Returns when each output is durably done, parked or a dead letter. Raises Unavailable or ResourceExhausted
        when parking was needed and failed."""
        if not self._takes(len(outputs)):
            why = self.breaker.why or "too many outputs in flight"
            await self._park_all(outputs, f"not tried: {why}")
            return
        ticket = self._enqueue(outputs)
        try:
            async with asyncio.timeout(self._bounds.hold_s):
                await ticket.answered
        except TimeoutError:
            await self._park_rest(ticket, f"no answer within {self._bounds.hold_s} s")
        except SinkDown as error:
            await self._park_rest(ticket, str(error))
        else:
            await self._settle(ticket.outputs, ticket.answers)
        finally:
            ticket.answered.cancel()

    async def run(self) -> Never:
        """Feeds the sink until cancelled."""
        while True:
            await self._wake.wait()
            if not self._tickets:
                self._wake.clear()
                continue
            await self._one_batch(*self._next_batch())

    async def close(self) -> None:
        """The sink's own resources; callers still waiting park their outputs."""
        self._fail_waiting(SinkDown("the action is stopping"))
        await self._sink.close()

    def _takes(self, count: int) -> bool:
        """A single caller's outputs are taken however many they are: it waits for them. Behind a batch that is overdue
        nobody waits."""
        now = time.monotonic()
        overdue = now - self._batch_since > self._bounds.hold_s
        if overdue or (self._queued and self._queued + count > self._bounds.queued):
            return False
        return self.breaker.admits(now)

    def _enqueue(self, outputs: list[Output]) -> _Ticket:
        ticket = _Ticket(outputs)
        self._tickets.append(ticket)
        self._queued += len(outputs)
        self._wake.set()
        return ticket

    def _next_batch(self) -> tuple[list[Output], list[tuple[_Ticket, int]]]:
        batch: list[Output] = []
        parts: list[tuple[_Ticket, int]] = []
        while self._tickets and len(batch) < self._bounds.batch:
            ticket = self._tickets[0]
            taken = [] if ticket.given_up else ticket.take(self._bounds.batch - len(batch))
            batch += taken
            parts.append((ticket, len(taken)))
            if ticket.given_up or ticket.taken == len(ticket.outputs):
                self._drop_first()
        return batch, parts

    def _drop_first(self) -> None:
        self._queued -= len(self._tickets.popleft().outputs)

    async def _one_batch(self, batch: list[Output], parts: list[tuple[_Ticket, int]]) -> None:
        if not batch:
            return
        started = self._batch_since = time.monotonic()
        try:
            with self._observation.sink_spans(self.type, batch):
                answers = await self._feed(batch)
        except SinkDown as error:
            self.breaker.failed(time.monotonic(), str(error))
            _answer(parts, error.answers)
            for ticket, _ in parts:
                ticket.fail(error)
            self._fail_waiting(error)
            return
        finally:
            self._batch_since = math.inf
            self._observation.batch(self.type, time.monotonic() - started)
        self.breaker.succeeded()
        _answer(parts, answers)

    async def _feed(self, batch: list[Output]) -> Answers:
        try:
            return await self._sink.deliver(batch)
        except SinkDown:
            raise
        except Exception as error:
            log.exception("a sink of type %s failed in a way it should not", self.type)
            raise SinkDown(f"{type(error).__name__}: {error}") from error

    def _fail_waiting(self, error: SinkDown) -> None:
        while self._tickets:
            self._tickets[0].fail(error)
            self._drop_first()

    async def _settle(self, outputs: Sequence[Output], answers: Answers) -> None:
        refused: dict[Waiting, list[Output]] = {}
        for output, why in zip(outputs, answers, strict=True):
            if why is not None:
                place, marked = after_refusal(output, why, self._now_ms())
                refused.setdefault(place, []).append(marked)
        self._observation.results(self.type, "done", len(outputs) - sum(map(len, refused.values())))
        for place, marked_outputs in refused.items():
            await self._park(place, marked_outputs, "dead_letter" if place is Waiting.DEAD else "refused")
        if self._dead is not None and (dead := refused.get(Waiting.DEAD)):
            await self._dead(dead)  # they are dead letters already, whatever becomes of this

    async def _park_rest(self, ticket: _Ticket, why: str) -> None:
        """What the sink has answered counts; everything else waits on the outage lane."""
        answers = list(ticket.answers)
        await self._settle(ticket.outputs[: len(answers)], answers)
        await self._park_all(ticket.outputs[len(answers) :], why)

    async def _park_all(self, outputs: Sequence[Output], why: str) -> None:
        now = self._now_ms()
        await self._park(Waiting.OUTAGE, [after_outage(output, why, now)[1] for output in outputs], "parked")

    async def _park(self, place: Waiting, outputs: list[Output], outcome: str) -> None:
        if not outputs:
            return
        not_before = self._now_ms() + int(self._delays.of(place) * 1000)
        lost = await self._parking.park(place, outputs, not_before)
        self._observation.results(self.type, outcome, len(outputs) - lost)
        self._observation.results(self.type, self._parking.loss, lost)

    @property
    def status(self) -> str:
        """ok, retrying or open, as the API shows it."""
        return self.breaker.state.value

    @property
    def is_open(self) -> bool:
        return self.breaker.state is not State.CLOSED


def _answer(parts: list[tuple[_Ticket, int]], answers: Sequence[str | None]) -> None:
    """Each ticket its share of a batch's answers, which may be fewer than the outputs."""
    at = 0
    for ticket, count in parts:
        ticket.answer(answers[at : at + count])
        at += count
