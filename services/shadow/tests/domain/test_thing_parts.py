import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.shadow.domain.thing_parts import HISTORY, PACK, Part, read_parts
from thinghub.shadow.domain.thing_posts import Refused

OWN = ("pk", "gateway")
SUB = {"productKey": "subs", "deviceName": "sensor1"}


def refused(what: str, params: object) -> int:
    with pytest.raises(Refused) as error:
        read_parts(what, params, OWN)
    return error.value.code


def test_a_pack_begins_with_the_senders_own_part() -> None:
    sub = {"identity": SUB, "properties": {"b": 2}, "events": {}}
    parts = read_parts(PACK, {"properties": {"a": 1}, "subDevices": [sub]}, OWN)
    assert parts == [Part(OWN, {"a": 1}, None), Part(("subs", "sensor1"), {"b": 2}, {})]
    assert read_parts(PACK, {}, OWN) == [Part(OWN, None, None)]


def test_a_history_has_parts_of_anyone() -> None:
    parts = read_parts(HISTORY, [{"properties": [{"a": 1}]}, {"identity": SUB, "events": []}], OWN)
    assert parts == [Part(OWN, [{"a": 1}], None), Part(("subs", "sensor1"), None, [])]
    assert read_parts(HISTORY, [], OWN) == []


def test_at_most_20_sub_devices_are_spoken_for() -> None:
    sub = {"identity": SUB}
    assert len(read_parts(PACK, {"subDevices": [sub] * 20}, OWN)) == 21
    assert refused(PACK, {"subDevices": [sub] * 21}) == 6357
    assert len(read_parts(HISTORY, [sub] * 20 + [{}], OWN)) == 21
    assert refused(HISTORY, [sub] * 22) == 6357


@pytest.mark.parametrize("identity", [[], "x", {}, {"productKey": "a"}, {"productKey": 1, "deviceName": 2}])
def test_an_identity_that_is_none_is_refused(identity: object) -> None:
    assert refused(PACK, {"subDevices": [{"identity": identity}]}) == 460
    assert refused(HISTORY, [{"identity": identity}]) == 460


@pytest.mark.parametrize("name", ["", "a}b", "a/b", "a b", "+", "x" * 65, "a\n"])
def test_a_name_that_no_device_could_have_is_no_sub_device(name: str) -> None:
    for identity in ({**SUB, "deviceName": name}, {**SUB, "productKey": name}):
        assert refused(PACK, {"subDevices": [{"identity": identity}]}) == 6401
        assert refused(HISTORY, [{"identity": identity}]) == 6401


def test_hostile_parts_cost_bounded_time() -> None:
    deep: object = 1
    for _ in range(1000):
        deep = [deep]
    wide = {str(number): number for number in range(100_000)}
    started = time.process_time()
    assert refused(PACK, {"subDevices": [{}] * 100_000}) == 6357
    assert refused(PACK, {"subDevices": wide}) == 460
    assert refused(PACK, {"subDevices": deep}) == 460
    assert refused(PACK, deep) == refused(HISTORY, wide) == 460
    assert refused(HISTORY, [{}] * 100_000) == 6357
    assert refused(HISTORY, [{"identity": wide}]) == 460
    assert refused(HISTORY, [deep]) == 460
    assert time.process_time() - started < 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["identity", "productKey", "deviceName", "subDevices", "properties", "events"]), inner
        )
    ),
    max_leaves=15,
)


@given(st.sampled_from([PACK, HISTORY]), JSON)
def test_any_body_is_read_or_refused(what: str, params: object) -> None:
    codes, parts = {200}, []
    try:
        parts = read_parts(what, params, OWN)
    except Refused as error:
        codes.add(error.code)
    assert codes <= {200, 460, 6357, 6401}
    assert all(part.device == OWN or all(part.device) for part in parts)
