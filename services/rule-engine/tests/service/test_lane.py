"""One action's lane: outputs end in the sink or on the bus, and nobody waits for a sink that does not answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from thinghub.common.errors import Unavailable
from thinghub.rule_engine.domain.outputs import Output
from thinghub.rule_engine.domain.retries import Delays, Waiting
from thinghub.rule_engine.ports.sinks import SinkDown
from thinghub.rule_engine.service.lane import Bounds, Lane
from thinghub.rule_engine.service.observation import Observation

Outputs = Callable[..., Output]


class Parked(Protocol):
    places: dict[Waiting, list[Output]]
    away: bool
    loss: str

    async def park(self, place: Waiting, outputs: Sequence[Output], not_before_ms: int) -> int: ...
    async def waiting(self) -> dict[str, int]: ...


class Sink:
    """Keeps what it gets; refuses `bad` results, is `down`, or waits for `gate`."""

    def __init__(self) -> None:
        self.batches: list[list[Output]] = []
        self.down = False
        self.down_after = 1000
        self.broken = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def deliver(self, outputs: Sequence[Output]) -> list[str | None]:
        self.batches.append(list(outputs))
        await self.gate.wait()
        if self.down or len(self.batches) > self.down_after:
            raise SinkDown("away")
        if self.broken:
            raise RuntimeError("a defect")
        return ["bad" if output.result.get("bad") else None for output in outputs]

    async def close(self) -> None:
        pass

    @property
    def got(self) -> list[int]:
        return [output.origin.message_id for batch in self.batches for output in batch]


@asynccontextmanager
async def laid(sink: Sink, parked: Parked, observation: Observation, **bounds: float) -> AsyncIterator[Lane]:
    given = Bounds(int(bounds.get("queued", 100)), int(bounds.get("batch", 10)), bounds.get("hold_s", 0.2))
    lane = Lane("RDS", sink, parked, observation, given, Delays(), lambda: 1000)
    running = asyncio.create_task(lane.run())
    yield lane
    running.cancel()
    await lane.close()


async def test_outputs_reach_the_sink_in_order_and_in_batches(
    parked: Parked, observation: Observation, output: Outputs
) -> None:
    sink = Sink()
    async with laid(sink, parked, observation) as lane:
        halves = [output(n) for n in range(15)], [output(n) for n in range(15, 30)]
        await asyncio.gather(*map(lane.deliver, halves))
    assert sink.got == list(range(30))
    assert [len(batch) for batch in sink.batches] == [10, 10, 10]
    assert parked.places == {}


async def test_refused_outputs_are_parked_by_attempt_and_at_last_dead(
    parked: Parked, observation: Observation, output: Outputs
) -> None:
    sink = Sink()
    async with laid(sink, parked, observation) as lane:
        await lane.deliver([output(0), *(output(n + 1, bad=1)._replace(attempts=n) for n in range(4))])
    ids = {place: [item.origin.message_id for item in items] for place, items in parked.places.items()}
    assert ids == {Waiting.FIRST: [1], Waiting.SECOND: [2], Waiting.THIRD: [3], Waiting.DEAD: [4]}
    assert parked.places[Waiting.DEAD][0].last_error == "bad"
    assert lane.status == "ok"


async def test_a_sink_that_is_down_opens_the_circuit_and_is_probed(
    parked: Parked, observation: Observation, output: Outputs
) -> None:
    sink = Sink()
    sink.down = True
    async with laid(sink, parked, observation) as lane:
        await lane.deliver([output(1)])
        assert lane.status == "open"
        await lane.deliver([output(2)])
        assert sink.got == [1]
        sink.down = False
        await asyncio.sleep(1.05)
        await lane.deliver([output(3)])
        assert lane.status == "ok"
    assert sink.got == [1, 3]
    assert [item.origin.message_id for item in parked.places[Waiting.OUTAGE]] == [1, 2]
    assert all(item.attempts == 0 for item in parked.places[Waiting.OUTAGE])


async def test_a_slow_sink_holds_its_caller_for_a_bounded_time_only(
    parked: Parked, observation: Observation, output: Outputs
) -> None:
    sink = Sink()
    sink.gate.clear()
    async with laid(sink, parked, observation) as lane:
        started = time.monotonic()
        await lane.deliver([output(n) for n in range(25)])
        first = time.monotonic() - started
        await lane.deliver([output(99)])
        second = time.monotonic() - started - first
        sink.gate.set()
        await asyncio.sleep(0.01)
        await lane.deliver([output(100)])
    assert 0.2 <= first < 0.4
    assert second < 0.05, "behind an overdue batch nobody waits"
    assert len(parked.places[Waiting.OUTAGE]) == 26
    assert sink.got[-1] == 100
    assert 20 not in sink.got, "what was given up is not sent any more"


async def test_past_the_bound_in_flight_outputs_go_to_the_bus(
    parked: Parked, observation: Observation, output: Outputs
) -> None:
    sink = Sink()
    sink.gate.clear()
    async with laid(sink, parked, observation, queued=20, hold_s=5.0) as lane:
        waiting = [asyncio.create_task(lane.deliver([output(n)] * 9)) for n in range(2)]
        await asyncio.sleep(0.01)
        await lane.deliver([output(7)] * 15)
        assert [item.origin.message_id for item in parked.places[Waiting.OUTAGE]] == [7] * 15
        sink.gate.set()
        await asyncio.gather(*waiting)
    assert len(sink.got) == 18


async def test_what_was_answered_before_the_outage_is_not_parked(
    parked: Parked, observation: Observation, output: Outputs
) -> None:
    sink = Sink()
    async with laid(sink, parked, observation) as lane:
        sink.down_after = 1
        await lane.deliver([output(n, bad=n == 3) for n in range(15)])
    assert [item.origin.message_id for item in parked.places[Waiting.OUTAGE]] == [10, 11, 12, 13, 14]
    assert [item.origin.message_id for item in parked.places[Waiting.FIRST]] == [3]


async def test_a_defect_in_a_sink_loses_nothing(parked: Parked, observation: Observation, output: Outputs) -> None:
    sink = Sink()
    sink.broken = True
    async with laid(sink, parked, observation) as lane:
        await lane.deliver([output(1)])
    assert "RuntimeError" in parked.places[Waiting.OUTAGE][0].last_error


async def test_when_the_bus_cannot_take_what_must_be_parked_the_caller_is_told(
    parked: Parked, observation: Observation, output: Outputs
) -> None:
    sink = Sink()
    sink.down = parked.away = True
    async with laid(sink, parked, observation) as lane:
        with pytest.raises(Unavailable):
            await lane.deliver([output(1)])


async def test_a_cancelled_caller_leaves_nothing_behind(
    parked: Parked, observation: Observation, output: Outputs
) -> None:
    sink = Sink()
    sink.gate.clear()
    async with laid(sink, parked, observation, batch=1, hold_s=5.0) as lane:
        first = asyncio.create_task(lane.deliver([output(1)]))
        second = asyncio.create_task(lane.deliver([output(2)]))
        await asyncio.sleep(0.01)
        second.cancel()
        await asyncio.wait([second])
        sink.gate.set()
        await first
    assert sink.got == [1]
