"""What expressions give: the SQL's meaning as a table."""

import pytest

from thinghub.device_protocol.records import Message
from thinghub.rule_engine.domain.sql import compile_sql

MESSAGE = Message(
    id=6_917_529_027_641_081_857,
    product_key="a1B2",
    device_name="dev1",
    topic="/a1B2/dev1/user/update",
    payload=b'{"k":"\xc3\xa9"}',
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
    ("payload()", '{"k":"é"}'),
    ("payload('UTF-8')", '{"k":"é"}'),
    ("payload('iso-8859-1')", '{"k":"Ã©"}'),
    ("payload('us-ascii')", '{"k":"\ufffd\ufffd"}'),
    ("abs(neg)", 7),
    ("abs(0 - temp)", 21.5),
    ("abs(s)", None),
    ("abs(t)", None),
    ("abs(missing)", None),
    ("mod(neg, 4)", -3),
    ("mod(n, zero)", None),
    ("power(2, 10)", 1024),
    ("power(2, 64)", 2.0**64),
    ("power(2, -1)", 0.5),
    ("power(zero, -1)", None),
    ("power(neg, 0.5)", None),
    ("power(10, 400)", None),
    ("power(n, s)", None),
    ("floor(temp)", 21),
    ("floor(0 - temp)", -22),
    ("floor(1e300)", 1e300),
    ("lower('AbC')", "abc"),
    ("upper(s)", "TEXT"),
    ("upper(n)", "7"),
    ("upper(t)", None),
    ("upper(a)", None),
    ("replace(s, 't', 'T')", "TexT"),
    ("replace(s, '', 'x')", "text"),
    ("replace(s, missing, 'x')", None),
    ("substring(s, 1)", "ext"),
    ("substring(s, 1, 3)", "ex"),
    ("substring(s, -5, 2)", "te"),
    ("substring(s, 3, 1)", ""),
    ("substring(s, 1.9, 99)", "ext"),
    ("substring(12345, 2)", "345"),
    ("substring(s, t)", None),
    ("substring(missing, 1)", None),
    ("endswith(s, 'xt')", True),
    ("startswith(s, 'te')", True),
    ("startswith(s, 'xt')", False),
    ("startswith(missing, 'x')", False),
    ("endswith(n, 7)", True),
    # IN and LIKE
    ("n IN (1, 7)", True),
    ("n IN (1, 7.0)", True),
    ("n IN (1, '7')", False),
    ("n NOT IN (1, 2)", True),
    ("n not in (1, 7)", False),
    ("s IN ('text')", True),
    ("t IN (1)", False),
    ("t IN (true, 5)", True),
    ("f NOT IN (0)", True),
    ("zero IN (false)", False),
    ("a IN (1)", False),
    ("a NOT IN (1)", True),
    ("missing IN (1)", False),
    ("missing NOT IN (1)", False),
    ("n IN (zero, 6 + 1)", True),
    ("n IN (zero, missing)", False),
    ("n NOT IN (zero, 8)", True),
    ("n NOT IN (zero, missing)", False),
    ("missing NOT IN (zero, n)", False),
    ("n + 1 IN (8) AND n IN (7)", True),
    ("s LIKE '%ex%'", True),
    ("s LIKE 'te%'", True),
    ("s LIKE '%xt'", True),
    ("s LIKE 't%x%t'", True),
    ("s LIKE 'text'", True),
    ("s LIKE 'tex'", False),
    ("s LIKE 'T%'", False),
    ("s LIKE 'text%text'", False),
    ("s LIKE '%t%t%'", True),
    ("s LIKE '%t%t%t%'", False),
    ("s LIKE 't_xt'", False),
    ("s LIKE '%'", True),
    ("s LIKE ''", False),
    ("s NOT LIKE '%ex%'", False),
    ("s NOT LIKE '%no%'", True),
    ("n LIKE '%7%'", False),
    ("n NOT LIKE '%7%'", True),
    ("missing LIKE '%'", False),
    ("missing NOT LIKE '%'", False),
    # CASE
    ("CASE n WHEN 1 THEN 'Y' ELSE '' END", ""),
    ("case n when 7 then 'Y' else '' end", "Y"),
    ("CASE n WHEN 1 THEN 'Y' END", None),
    ("CASE n WHEN 1 THEN 1 WHEN 7.0 THEN 2 WHEN 7 THEN 3 END", 2),
    ("CASE t WHEN 1 THEN 'one' WHEN true THEN 'true' END", "true"),
    ("CASE missing WHEN missing THEN 'same' ELSE 'null is nothing' END", "null is nothing"),
    ("CASE WHEN n > 8 THEN 'big' WHEN n > 6 THEN s ELSE 'small' END", "text"),
    ("CASE WHEN n THEN 'a number does not hold' ELSE 'no' END", "no"),
    ("CASE n % 2 WHEN 0 THEN n / zero ELSE n + 1 END + 1", 9),
    ("CASE WHEN s LIKE 't%' THEN n IN (7) END", True),
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
