import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.device_sdk import Backoff

CHANCE = st.floats(0, 1, exclude_max=True)
BACKOFFS = st.builds(
    lambda first, more, factor: Backoff(first, first + more, factor),
    st.floats(0.001, 1000),
    st.floats(0, 10_000),
    st.floats(1, 100),
)


@given(BACKOFFS, st.integers(0, 10**9), CHANCE)
def test_a_wait_is_never_negative_and_never_past_the_cap(backoff: Backoff, attempt: int, chance: float) -> None:
    assert 0 <= backoff.delay(attempt, chance) <= backoff.cap


@given(BACKOFFS, st.integers(0, 10**6))
def test_the_ceiling_never_falls_and_begins_with_the_first(backoff: Backoff, attempt: int) -> None:
    assert backoff.ceiling(0) == backoff.first
    assert backoff.ceiling(attempt) <= backoff.ceiling(attempt + 1) <= backoff.cap


@given(BACKOFFS, st.integers(0, 100), CHANCE)
def test_the_jitter_is_full(backoff: Backoff, attempt: int, chance: float) -> None:
    assert backoff.delay(attempt, chance) == backoff.ceiling(attempt) * chance


@pytest.mark.parametrize(("first", "cap", "factor"), [(0, 1, 2), (2, 1, 2), (1, 2, 0.5), (-1, 1, 2)])
def test_what_is_no_backoff_is_refused(first: float, cap: float, factor: float) -> None:
    with pytest.raises(ValueError, match="backoff"):
        Backoff(first, cap, factor)
