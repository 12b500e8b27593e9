import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.shadow.domain.desired_requests import Cleared, Wanted, is_desired, read_desired
from thinghub.shadow.domain.thing_posts import Refused

GET = "/sys/pk/dn/thing/property/desired/get"
DELETE = "/sys/pk/dn/thing/property/desired/delete"


def refused(topic: str, params: object) -> int:
    with pytest.raises(Refused) as error:
        read_desired(topic, params)
    return error.value.code


def test_only_its_own_two_topics_are_read() -> None:
    assert is_desired(GET)
    assert is_desired(DELETE)
    for topic in (GET + "_reply", "/sys/pk/dn/x/thing/property/desired/get", "/sys/pk/dn/thing/event/property/post"):
        assert not is_desired(topic)


def test_a_device_asks_for_some_or_for_all() -> None:
    assert read_desired(GET, ["power", "power", "block:on", "no name", "x" * 51]) == Wanted(("power", "block:on"))
    assert read_desired(GET, []) == Wanted((), everything=True)
    assert read_desired(GET, ["no name"]) == Wanted(())


def test_a_device_clears_by_version_whatever_version_or_all() -> None:
    read = read_desired(
        DELETE, {"a": {"version": 1}, "b": {}, "c": {"version": "3"}, "d": {"version": None}, "e f": {}}
    )
    assert read == Cleared({"a": 1, "b": None, "c": 3, "d": None})
    assert read_desired(DELETE, {}) == Cleared({}, everything=True)
    assert read_desired(DELETE, {"no name": {}}) == Cleared({})


def test_more_than_200_are_6104() -> None:
    names = [f"p{number}" for number in range(201)]
    assert refused(GET, names) == refused(DELETE, {name: {} for name in names}) == 6104
    assert isinstance(read_desired(GET, names[:200]), Wanted)


@pytest.mark.parametrize("params", [None, 1, "power", {"power": {}}, [1], [["power"]], [None]])
def test_a_question_that_is_none_is_460(params: object) -> None:
    assert refused(GET, params) == 460


@pytest.mark.parametrize(
    "params", [None, [], ["power"], {"power": 1}, {"power": {"version": -1}}, {"power": {"version": True}},
               {"power": {"version": 1.5}}, {"power": {"version": "x"}}, {"power": {"version": 2**60}}],
)  # fmt: skip
def test_a_clearing_that_is_none_is_460(params: object) -> None:
    assert refused(DELETE, params) == 460


def test_hostile_requests_cost_bounded_time() -> None:
    deep: object = 1
    for _ in range(1000):
        deep = [deep]
    wide: dict[str, object] = {str(number): {} for number in range(100_000)}
    started = time.process_time()
    assert refused(GET, list(wide)) == refused(DELETE, wide) == 6104
    assert refused(GET, deep) == refused(DELETE, deep) == 460
    assert refused(DELETE, {"power": deep}) == 460
    assert refused(DELETE, {"power": {"version": deep}}) == 460
    assert time.process_time() - started < 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["power", "version", "x y"]), inner),
    max_leaves=8,
)


@given(st.sampled_from([GET, DELETE]), JSON)
def test_any_request_is_read_or_refused(topic: str, params: object) -> None:
    codes = {200}
    try:
        read_desired(topic, params)
    except Refused as error:
        codes.add(error.code)
    assert codes <= {200, 460, 6104}
