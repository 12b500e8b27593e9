"""What is refused at creation: each with its clause, its position and a reason that names it."""

import pytest

from thinghub.rule_engine.domain.sql import compile_sql
from thinghub.rule_engine.errors import SqlError

SELECT = [
    ("", 1, "expected a value, found the end"),
    ("   ", 4, "expected a value"),
    ("a,", 3, "expected a value, found the end"),
    ("a b", 3, "expected an operator or the end, found 'b'"),
    ("a + 1", 1, "add AS and an alias"),
    ("'x'", 1, "add AS and an alias"),
    ('"$"', 1, "add AS and an alias"),
    ("a, b AS a", 4, "two fields are named 'a'"),
    ("*, *", 4, "* stands once only"),
    ("a AS", 5, "expected an alias"),
    ("a AS 5", 6, "expected an alias"),
    ("a AS select", 6, "cannot be an alias without quotes"),
    ("a AS b.c", 6, "cannot be an alias without quotes"),
    (f"a AS '{'x' * 65}'", 6, "expected an alias of 1 to 64"),
    (", ".join(f"f{n}" for n in range(51)), 241, "more than 50 fields"),
    ("SELECT a", 1, "SELECT is not available"),
    ("a FROM x", 3, "FROM is not available"),
    ("DISTINCT a", 1, "DISTINCT is not available"),
    ("CASE a WHEN 1 THEN 2 END", 1, "add AS and an alias"),
    ("CASE END AS x", 6, "expected a value, found 'END'"),
    ("CASE a END AS x", 8, "expected WHEN, found 'END'"),
    ("CASE a WHEN 1 END AS x", 15, "expected an operator or THEN, found 'END'"),
    ("CASE a WHEN 1 THEN 2 AS x", 22, "expected an operator or END, found 'AS'"),
    ("CASE a WHEN 1 THEN 2 ELSE END AS x", 27, "expected a value, found 'END'"),
    ("CASE a WHEN 1 THEN CASE b WHEN 1 THEN 2 END END AS x", 20, "CASE cannot stand within CASE"),
    ("CASE concat('a', CASE b WHEN 1 THEN 2 END) WHEN 1 THEN 2 END AS x", 18, "CASE cannot stand within CASE"),
    ("a WHEN 1", 3, "expected an operator or the end, found 'WHEN'"),
    ("tan(a) AS x", 1, "the function tan() is not available; there are topic, deviceName"),
    ("a + tan(b) AS x", 5, "the function tan() is not available"),
    ("abs() AS x", 1, "abs() takes 1 arguments, not 0"),
    ("payload('utf-7') AS x", 9, "payload() takes one of the encodings utf-8"),
    ("payload(a) AS x", 9, "payload() takes one of the encodings utf-8"),
    ("substring('a', true) AS x", 16, "substring() takes no boolean"),
    ("a IN (1)", 1, "add AS and an alias"),
    ("count(*) AS x", 7, "expected a value, found '*'"),
    ("deviceName(1) AS x", 1, "deviceName() takes 0 arguments, not 1"),
    ("concat('a') AS x", 1, "concat() takes 2 to 50 arguments, not 1"),
    ("topic(0) AS x", 7, "from 1 to 64"),
    ("topic(a) AS x", 7, "from 1 to 64"),
    ("timestamp(a) AS x", 11, "a date pattern in single quotes"),
    ("timestamp('yyyy Q') AS x", 11, "'Q' is not available in a date pattern"),
    ("timestamp('yyyy ''T') AS x", 11, "quote that does not close"),
    ("'open AS x", 1, "no closing '"),
    ('"open AS x', 1, 'no closing "'),
    ('"" AS x', 2, "an empty variable name"),
    ('"a..b" AS x', 3, "a path cannot go on with '..b'"),
    ('"a[x]" AS x', 3, "a path cannot go on with '[x]'"),
    ('"a[-1]" AS x', 3, "a path cannot go on with '[-1]'"),
    ('"a[" AS x', 3, "a path cannot go on with '['"),
    ("a. AS x", 2, "unexpected character '.'"),
    (".".join("a" * 65) + " AS x", 1, "a path has at most 64 steps"),
    ("1x AS x", 1, "'1' is not a number"),
    ("1. AS x", 1, "'1' is not a number"),
    ("9223372036854775808 AS x", 1, "out of range"),
    ("1e999 AS x", 1, "out of range"),
    ("9" * 5000 + " AS x", 1, "out of range"),
    ("a + 'x' AS x", 5, "+ is arithmetic: use concat() for text"),
    ("'x' * 2 AS x", 1, "* is arithmetic"),
    ("-'x' AS x", 2, "- is arithmetic"),
    ("(a AS x", 4, "expected ')'"),
    ("a) AS x", 2, "expected an operator or the end, found ')'"),
    ("concat(a b) AS x", 10, "expected ','"),
    ("concat(a,) AS x", 10, "expected a value"),
    ("a ; b", 3, "';' is not available"),
    ("`a` AS x", 1, "double quotes"),
    ("a AS x -- c", 8, "comments are not available"),
    ("a /* c */ AS x", 3, "comments are not available"),
    ("a || b AS x", 3, "concat() for text"),
    ("a @ b AS x", 3, "unexpected character '@'"),
    ("(" * 101 + "1" + ")" * 101 + " AS x", 101, "nested deeper than 100"),
    ("- " * 200 + "1 AS x", 201, "nested deeper than 100"),
    ("concat('a'," * 200, 1097, "nested deeper than 100"),
    ("x" * 10_241, 10_241, "longer than 10240 bytes"),
]
WHERE = [
    ("a =", 4, "expected a value, found the end"),
    ("= 1", 1, "expected a value, found '='"),
    ("a = 1 = 2", 7, "comparisons cannot follow each other"),
    ("a == 1", 3, "'==' is not available: write ="),
    ("a != 1", 3, "'!=' is not available: write <>"),
    ("NOT a", 1, "NOT is not available"),
    ("a NOT 1", 3, "NOT is not available: write the opposite comparison"),
    ("a IN 1", 6, "expected '(' and the values of IN, found '1'"),
    ("a IN ()", 6, "IN needs at least one value"),
    ("a NOT IN (1,)", 13, "expected a value"),
    ("a IN (1, 2", 11, "expected ','"),
    ("a LIKE 5", 8, "LIKE takes a pattern in single quotes, found '5'"),
    ("a NOT LIKE b", 12, "LIKE takes a pattern in single quotes, found 'b'"),
    ("a = 1 IN (2)", 7, "comparisons cannot follow each other"),
    ("a IN (2) = true", 10, "comparisons cannot follow each other"),
    ("a LIKE 'x' NOT LIKE 'y'", 12, "comparisons cannot follow each other"),
    ("a LIKE", 7, "LIKE takes a pattern in single quotes, found the end"),
    ("a IS NULL", 3, "IS is not available: a comparison with a missing value is false"),
    ("a = NULL", 5, "NULL is not available"),
    ("a BETWEEN 1 AND 2", 3, "BETWEEN is not available"),
    ("WHERE a = 1", 1, "WHERE is not available"),
    ("a = 1 AND", 10, "expected a value"),
    ("a = 1 AND AND b", 11, "expected a value, found 'AND'"),
    ("a = (SELECT b)", 6, "sub-queries are not available"),
    ("a = 1, b = 2", 6, "expected an operator or the end, found ','"),
    ("a && b", 3, "write AND"),
]


@pytest.mark.parametrize(("text", "position", "reason"), SELECT)
def test_select_is_refused(text: str, position: int, reason: str) -> None:
    with pytest.raises(SqlError) as refusal:
        compile_sql(text, "")
    assert refusal.value.details == {"position": str(position), "clause": "select"}
    assert reason in refusal.value.message
    assert f"select, position {position}: " in refusal.value.message


@pytest.mark.parametrize(("text", "position", "reason"), WHERE)
def test_where_is_refused(text: str, position: int, reason: str) -> None:
    with pytest.raises(SqlError) as refusal:
        compile_sql("*", text)
    assert refusal.value.details == {"position": str(position), "clause": "where"}
    assert reason in refusal.value.message


@pytest.mark.parametrize(
    "text",
    [
        "1" + " + 1" * 2500 + " AS x",
        "(" * 99 + "1" + ")" * 99 + " AS x",
        "(1 + " * 49 + "1" + ")" * 49 + " AS x",
        "- " * 49 + "n AS x",
        ".".join("a" * 64) + " AS x",
        "concat('a', " * 98 + "'b'" + ")" * 98 + " AS x",
        "n" + " * n" * 2500 + " AS x",
        "CASE n" + " WHEN 1 THEN 2" * 700 + " END AS x",
        "CASE" + " WHEN n > 4 THEN s" * 500 + " ELSE concat(n, n) END AS x",
    ],
)
def test_large_but_bounded_text_compiles_and_runs(text: str) -> None:
    result = compile_sql(text, " OR ".join(["n = 3"] * 1000)).evaluate(_MESSAGE, {"n": 3})
    assert result is not None


class _Message:
    id = 1
    product_key = "pk"
    device_name = "dn"
    topic = "/pk/dn/user/x"
    payload = b"{}"
    received_ms = 0


_MESSAGE = _Message()
