"""What expressions give: the SQL's meaning as a table."""

import pytest

from thinghub.device_protocol.records import Message
from thinghub.rule_engine.domain.sql import compile_sql

MESSAGE = Message(
    id=6_917_529_027_641_081_857,
    product_key="a1B2",
    device_name="dev1",
    topic="/a1B2/dev1/user/update",
    payload=b"",
    received_ms=1_700_000_000_123,
)
PAYLOAD = {
    "temp": 21.5,
    "n": 7,
    "zero": 0,
    "neg": -7,
    "s": "text",
    "t": True,
    "f": False,
    "nothing": None,
    "items": {"Temp": {"value": 3, "time": 1}},
    "a": [{"v": 0}, {"v": 1}],
    "m": [[1, 2], [3, 4]],
    "odd-name": "odd",
    "温度": 36,
    "two words": "two",
    "big": 2**63,
    "select": "a keyword",
}

VALUES = [
    # paths and quotes
    ("temp", 21.5),
    ("items.Temp.value", 3),
    ('"items.Temp.value"', 3),
    ("'items.Temp.value'", "items.Temp.value"),
    ("'it''s'", "it's"),
    (r"'it\'s'", "it's"),
    (r"'a\\b\c'", r"a\b\c"),
    ("missing", None),
    ("missing.deep[3].er", None),
    ("nothing", None),
    ("s.member", None),
    ("s[0]", None),
    ("a[0]", {"v": 0}),
    ('"a[0]"', {"v": 0}),
    ('"$.a[0]"', {"v": 0}),
    ('".a[0]"', [{"v": 0}]),
    ('"a[1].v"', 1),
    ('".a[1].v"', [1]),
    ('".a[9].v"', []),
    ("a[9]", None),
    ("m[1][0]", 3),
    ('"odd-name"', "odd"),
    ("温度", 36),
    ('"two words"', "two"),
    ('"select"', "a keyword"),
    ('"$"', PAYLOAD),
    # arithmetic
    ("1 + 2 * 3", 7),
    ("(1 + 2) * 3", 9),
    ("10 - 3 - 2", 5),
    ("n / 2", 3.5),
    ("8 / 4", 2),
    ("8 / 2 / 2", 2),
    ("n % 4", 3),
    ("neg % 4", -3),
    ("7.5 % 2", 1.5),
    ("-n", -7),
    ("-(n - 1)", -6),
    ("2 - -2", 4),
    ("n / zero", None),
    ("n % zero", None),
    ("n + missing", None),
    ("n + s", None),
    ("n + t", None),
    ("-s", None),
    ("9223372036854775807 + 1", 2**63),
    ("big * big", float(2**126)),
    ("1e308 * 10", None),
    ("1.5e2", 150.0),
    # comparisons
    ("temp > 21", True),
    ("21 < temp", True),
    ("temp >= 21.5", True),
    ("temp <= 21", False),
    ("n = 7.0", True),
    ("n <> 7", False),
    ("s = 'text'", True),
    ("s <> 'text'", False),
    ("s > 'tex'", True),
    ("s = 7", False),
    ("s <> 7", True),
    ("s < 7", False),
    ("t = true", True),
    ("t <> FALSE", True),
    ("t = 1", False),
    ("t <> 1", True),
    ("t > 0", False),
    ("true = t", True),
    ("zero = f", False),
    ("missing = 0", False),
    ("missing <> 0", False),
    ("missing <> 'x'", False),
    ("missing <> true", False),
    ("missing = missing", False),
    ("missing <> nothing", False),
    ("n > zero", True),
    ("s > temp", False),
    ("a = a", True),
    ("a < m", False),
    # logic
    ("n = 7 AND s = 'text'", True),
    ("n = 8 or s = 'text'", True),
    ("n = 8 OR n = 7 AND s = 'no'", False),
    ("(n = 8 OR n = 7) AND s = 'text'", True),
    ("t AND t", True),
    ("n AND t", False),
    ("missing OR t", True),
    # functions
    ("topic()", "/a1B2/dev1/user/update"),
    ("topic(1)", "a1B2"),
    ("topic(4)", "update"),
    ("topic(5)", None),
    ("deviceName()", "dev1"),
    ("DEVICENAME()", "dev1"),
    ("productKey()", "a1B2"),
    ("messageId()", "6917529027641081857"),
    ("timestamp()", 1_700_000_000_123),
    (r"timestamp('yyyy-MM-dd\'T\'HH:mm:ss.SSS\'Z\'')", "2023-11-15T06:13:20.123Z"),
    ("timestamp('d/M/yy H:m:s')", "15/11/23 6:13:20"),
    ("timestamp('yyyyMMdd Z')", "20231115 +0800"),
    ("timestamp('{0} ''{d}''')", "{0} {d}"),
    ("concat('a', 'b')", "ab"),
    ("concat(s, '-', n, '-', temp, '-', t)", "text-7-21.5-true"),
    ("concat(deviceName(), missing)", None),
    ("concat(a, '')", '[{"v":0},{"v":1}]'),
    ("concat(topic(1), concat('x', 'y'))", "a1B2xy"),
]


@pytest.mark.parametrize(("expression", "expected"), VALUES)
def test_expression_gives(expression: str, expected: object) -> None:
    result = compile_sql(f"{expression} AS x", "").evaluate(MESSAGE, PAYLOAD)
    assert result == {"x": expected}
    assert result is not None
    assert type(result["x"]) is type(expected)


@pytest.mark.parametrize(("expression", "expected"), [(e, v) for e, v in VALUES if isinstance(v, bool)])
def test_condition_decides(expression: str, expected: bool) -> None:
    result = compile_sql("n", expression).evaluate(MESSAGE, PAYLOAD)
    assert result == ({"n": 7} if expected else None)


def test_an_empty_condition_takes_every_message() -> None:
    assert compile_sql("n", "  ").evaluate(MESSAGE, PAYLOAD) == {"n": 7}


def test_a_condition_that_is_no_boolean_takes_none() -> None:
    assert compile_sql("n", "n").evaluate(MESSAGE, PAYLOAD) is None


def test_star_gives_the_payload_and_fields_replace_members() -> None:
    compiled = compile_sql("*, deviceName() AS name, 8 AS n", "")
    assert compiled.star
    assert compiled.evaluate(MESSAGE, PAYLOAD) == {**PAYLOAD, "name": "dev1", "n": 8}


def test_star_may_stand_anywhere() -> None:
    assert compile_sql("1 AS one, *", "").evaluate(MESSAGE, {"a": 2}) == {"a": 2, "one": 1}


@pytest.mark.parametrize(
    ("field", "name"),
    [("a.b.c", "c"), ("a[0]", "a"), ("a[0].v[1]", "v"), ("deviceName()", "deviceName"), ('"$.x"', "x")],
)
def test_field_without_alias_is_named_by(field: str, name: str) -> None:
    assert list(compile_sql(field, "").evaluate(MESSAGE, {}) or ()) == [name]


@pytest.mark.parametrize("alias", ["b", "'b'", '"b"', "温", "'two words'"])
def test_alias_may_be_quoted(alias: str) -> None:
    assert compile_sql(f"n AS {alias}", "").evaluate(MESSAGE, PAYLOAD) == {alias.strip("'\""): 7}


def test_a_payload_that_is_no_object_has_no_members() -> None:
    assert compile_sql('n, "$[1]" AS second', "").evaluate(MESSAGE, [5, 6]) == {"n": None, "second": 6}


def test_text_of_the_user_is_never_source() -> None:
    hostile = "'); import os; os.abort() #"
    compiled = compile_sql(f"concat('{hostile.replace(chr(39), chr(39) * 2)}', 'x') AS \"{hostile}\"", "")
    assert "import" not in compiled.source
    assert compiled.evaluate(MESSAGE, {}) == {hostile: hostile + "x"}
