import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.device_protocol.tsl.parse import parse
from thinghub.device_protocol.tsl.validator import WHY, TslCode, Validator


def _prop(identifier: str, kind: str, specs: object = None) -> dict[str, object]:
    return {"identifier": identifier, "dataType": {"type": kind, "specs": specs or {}}}


MODEL = {
    "properties": [
        _prop("i", "int", {"min": "0", "max": "100"}),
        _prop("f", "float", {"min": "-1.5", "max": "1.5"}),
        _prop("d", "double"),
        _prop("e", "enum", {"1": "a", "3": "b"}),
        _prop("b", "bool", {"0": "off", "1": "on"}),
        _prop("t", "text", {"length": "4"}),
        _prop("when", "date"),
        _prop("s", "struct", [_prop("x", "int"), {**_prop("y", "text"), "required": True}]),
        _prop("a", "array", {"size": "3", "item": {"type": "int", "specs": {"max": "9"}}}),
    ],
    "events": [{"identifier": "alarm", "type": "alert", "outputData": [_prop("code", "int")]}],
    "services": [{"identifier": "go", "inputData": [{**_prop("to", "int"), "required": True}]}],
}
VALIDATOR = Validator(parse(MODEL))


@pytest.mark.parametrize(
    ("identifier", "value", "code"),
    [
        ("i", 0, 0),
        ("i", 100, 0),
        ("i", 7.0, 0),
        ("i", -1, TslCode.INT),
        ("i", 101, TslCode.INT),
        ("i", 1.5, TslCode.INT),
        ("i", "1", TslCode.INT),
        ("i", True, TslCode.INT),
        ("i", None, TslCode.INT),
        ("i", 2**70, TslCode.INT),
        ("i", float("inf"), TslCode.INT),
        ("f", 1, 0),
        ("f", -1.5, 0),
        ("f", 1.6, TslCode.FLOAT),
        ("f", "1", TslCode.FLOAT),
        ("f", False, TslCode.FLOAT),
        ("d", 1e300, 0),
        ("d", float("inf"), TslCode.DOUBLE),
        ("d", [], TslCode.DOUBLE),
        ("e", 1, 0),
        ("e", 2, TslCode.ENUM),
        ("e", True, TslCode.ENUM),
        ("e", "1", TslCode.ENUM),
        ("e", [1], TslCode.ENUM),
        ("b", 0, 0),
        ("b", 1, 0),
        ("b", True, 0),
        ("b", 2, TslCode.BOOL),
        ("b", "1", TslCode.BOOL),
        ("b", {}, TslCode.BOOL),
        ("t", "", 0),
        ("t", "äöüß", 0),
        ("t", "12345", TslCode.TEXT),
        ("t", 1, TslCode.TEXT),
        ("when", "1524448722000", 0),
        ("when", 1524448722000, 0),
        ("when", "today", TslCode.DATE),
        ("when", -1, TslCode.DATE),
        ("s", {"y": ""}, 0),
        ("s", {"x": 1, "y": "", "z": 1}, 0),
        ("s", {"x": 1}, TslCode.STRUCT),
        ("s", {"x": "", "y": ""}, TslCode.INT),
        ("s", [], TslCode.STRUCT),
        ("a", [], 0),
        ("a", [1, 2, 3], 0),
        ("a", [1, 2, 3, 4], TslCode.ARRAY),
        ("a", [10], TslCode.INT),
        ("a", 1, TslCode.ARRAY),
    ],
)
def test_a_value_is_good_or_has_the_code_of_its_type(identifier: str, value: object, code: int) -> None:
    assert VALIDATOR.value(identifier, value) == code


def test_events_and_services_are_checked_by_their_parameters() -> None:
    assert VALIDATOR.output("alarm", {"code": 1}) == 0
    assert VALIDATOR.output("alarm", {}) == 0
    assert VALIDATOR.output("alarm", {"code": "x"}) == TslCode.INT
    assert VALIDATOR.output("gone", {}) == TslCode.NO_FUNCTION
    assert VALIDATOR.input("go", {}) == TslCode.MISSING
    assert VALIDATOR.input("go", {"to": 1}) == 0
    assert VALIDATOR.input("gone", {}) == TslCode.NO_FUNCTION


def test_every_code_says_why() -> None:
    assert set(WHY) == set(TslCode)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(VALIDATOR.properties)), VALUES)
def test_any_value_is_judged(identifier: str, value: object) -> None:
    assert VALIDATOR.value(identifier, value) in (0, *TslCode)


@given(st.integers())
def test_an_int_is_good_exactly_inside_its_range(value: int) -> None:
    assert (VALIDATOR.value("i", value) == 0) == (0 <= value <= 100)
