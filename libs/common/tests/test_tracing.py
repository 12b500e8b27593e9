"""Spans: who decides, who follows, and whose ids."""

import asyncio
import socket
import time

import pytest

from thinghub.common.tracing import NO_SPAN, Tracing, below, current, is_sampled

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest.mark.parametrize(
    ("traceparent", "sampled"),
    [
        (SAMPLED, True),
        (UNSAMPLED, False),
        ("", False),
        ("01" + SAMPLED[2:] + "-later", True),  # a later version may say more (Trace Context §3.2)
        (SAMPLED + "-more", False),
        ("ff" + SAMPLED[2:], False),
        (SAMPLED.upper(), False),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01", False),
        ("rubbish", False),
    ],
)
def test_a_traceparent_is_sampled_by_its_flag_only(traceparent: str, sampled: bool) -> None:
    assert is_sampled(traceparent) is sampled


def test_a_span_below_a_sampled_parent_belongs_to_its_trace() -> None:
    tracing = Tracing.memory()
    with tracing.span("child", SAMPLED, {"device": "d", "count": 2}) as span:
        assert span.sampled
        assert span.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c-")
        assert current() is span
        with tracing.span("grandchild"):
            pass
        with below("also"):
            pass
    assert current() is NO_SPAN
    grandchild, also, child = tracing.finished()
    assert child.parent is not None
    assert f"{child.parent.span_id:016x}" == "b7ad6b7169203331"
    assert dict(child.attributes or {}) == {"device": "d", "count": 2}
    for inner in (grandchild, also):
        assert inner.parent is not None
        assert inner.parent.span_id == child.context.span_id


def test_what_is_not_sampled_is_the_shared_empty_span() -> None:
    tracing = Tracing.memory(ratio=0.0)
    assert tracing.span("a") is NO_SPAN
    assert tracing.span("a", UNSAMPLED) is NO_SPAN
    assert Tracing("auth").span("a", SAMPLED) is NO_SPAN
    assert below("a") is NO_SPAN
    with tracing.span("a") as span:
        span.set("x", 1)
        span.event("y")
        span.fail("z")
        assert span.traceparent == ""
    assert tracing.finished() == ()


def test_the_ratio_decides_for_roots_once() -> None:
    tracing = Tracing.memory(ratio=0.3)
    for _ in range(1000):
        with tracing.span("root"), tracing.span("child"):
            pass
    names = [span.name for span in tracing.finished()]
    assert names.count("root") == names.count("child")
    assert 200 < names.count("root") < 400


def test_a_root_takes_the_ids_that_were_handed_out() -> None:
    tracing = Tracing.memory()
    began = int(time.time() * 1000) - 500
    with tracing.root("uplink", SAMPLED, began, {"slot": 7}):
        pass
    with tracing.span("consume", SAMPLED):
        pass
    root, consume = tracing.finished()
    assert root.parent is None
    assert f"{root.context.trace_id:032x}-{root.context.span_id:016x}" == SAMPLED[3:-3]
    assert root.start_time == began * 1_000_000
    assert consume.parent is not None
    assert consume.parent.span_id == root.context.span_id
    assert consume.context.span_id != root.context.span_id
    assert tracing.root("uplink", UNSAMPLED, began) is NO_SPAN


def test_a_failure_is_noted() -> None:
    tracing = Tracing.memory(ratio=1.0)
    with pytest.raises(KeyError), tracing.span("work"):
        raise KeyError("x")
    (span,) = tracing.finished()
    assert (span.status.is_ok, span.status.description) == (False, "KeyError")


async def test_tasks_have_their_own_current_span() -> None:
    tracing = Tracing.memory(ratio=1.0)

    async def work(number: int) -> None:
        with tracing.span(f"{number}") as span:
            await asyncio.sleep(0.001)
            assert current() is span

    await asyncio.gather(*(work(number) for number in range(20)))
    assert len({span.context.trace_id for span in tracing.finished()}) == 20


def test_a_span_that_is_not_sampled_costs_next_to_nothing() -> None:
    tracing = Tracing.memory(ratio=0.0)
    began = time.process_time()
    for _ in range(100_000):
        with tracing.span("a"):
            pass
    assert (time.process_time() - began) / 100_000 < 5e-6


def test_a_collector_that_is_away_does_not_hold_up_the_end() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        tracing = Tracing.exporting("auth", 1.0, f"127.0.0.1:{taken.getsockname()[1]}")
        with tracing.span("work"):
            pass
        began = time.monotonic()
        tracing.close(1.0)
        assert time.monotonic() - began < 6
