from hypothesis import given
from hypothesis import strategies as st

from thinghub.device_protocol.message_ids import EPOCH_MS, MAX_WORKER, MessageIds, derive, time_of, worker_of

NOW = EPOCH_MS + 200_000_000_000


def test_an_id_carries_time_and_worker_and_is_positive() -> None:
    message_id = MessageIds(MAX_WORKER, lambda: NOW).next()
    assert 0 < message_id < 1 << 63
    assert worker_of(message_id) == MAX_WORKER
    assert time_of(message_id) == NOW


@given(st.lists(st.integers(min_value=-5000, max_value=5000), min_size=2, max_size=200))
def test_ids_rise_whatever_the_clock_does(steps: list[int]) -> None:
    now = NOW
    ids = MessageIds(7, lambda: now)
    made = []
    for step in steps:
        now += step
        made.append(ids.next())
    assert made == sorted(set(made))
    assert all(worker_of(one) == 7 for one in made)


def test_more_ids_than_a_millisecond_holds_run_ahead_of_the_clock() -> None:
    ids = MessageIds(3, lambda: NOW)
    made = [ids.next() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert {worker_of(one) for one in made} == {3}


@given(st.integers(min_value=0, max_value=(1 << 63) - 1), st.text(max_size=40))
def test_a_derived_id_is_positive_and_repeats(parent: int, stage: str) -> None:
    assert 0 < derive(parent, stage) < 1 << 63
    assert derive(parent, stage) == derive(parent, stage)
    assert derive(parent, stage) != derive(parent, stage + "x")
