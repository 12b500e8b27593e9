"""Whatever the text, the parser answers or refuses; whatever the tree, the compiled function means what it says."""

import math
import re
from collections.abc import Callable

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from thinghub.device_protocol.records import Message
from thinghub.rule_engine.domain.sql import DeviceMessage, calls, compile_sql, dates, semantics
from thinghub.rule_engine.domain.sql.compiler import compile_trees
from thinghub.rule_engine.domain.sql.tree import (
    Among,
    Call,
    Case,
    Chain,
    Compare,
    Field,
    Like,
    Literal,
    Logic,
    Negate,
    Node,
    Path,
    Selection,
)
from thinghub.rule_engine.errors import SqlError

MESSAGE = Message(7, "pk", "dn", "/pk/dn/user/x", b'{"a":1}', received_ms=1_700_000_000_000)
# fmt: off
WORDS = [
    "a", "b.c", "a[0]", '"x"', '".a[0]"', "'t'", "''", "1", "2.5", "1e3", "AND", "OR", "NOT", "AS", "true",
    "CASE", "WHEN", "THEN", "ELSE", "END", "IN", "LIKE",
    "=", "<>", "<", ">=", "+", "-", "*", "/", "%", "(", ")", ",",
]
ODDS = [
    "topic", "(1)", "concat(", "timestamp()", "payload()", "replace(",
    "'%a%'", "'", '"', " ", "\n", "温", "\0", "\\", "[", "]", ".", "$", "!",
]
# fmt: on
PIECES = st.sampled_from([*WORDS, *ODDS])
NAMES = st.sampled_from(["a", "b", "c", "n"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
PAYLOADS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
    ),
)
LITERALS = st.builds(
    Literal, st.one_of(st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.sampled_from(["", "a", "7"]))
)
PATHS = st.builds(Path, st.lists(st.one_of(NAMES, st.integers(0, 2)), min_size=1, max_size=4).map(tuple), st.booleans())
PATTERNS = st.lists(st.sampled_from(["", "a", "7", "ab"]), min_size=1, max_size=4).map(tuple)
CALLS = st.sampled_from(
    [
        Call("payload"),
        Call("topic"),
        Call("topic", (Literal(2),)),
        Call("deviceName"),
        Call("messageId"),
        Call("timestamp"),
    ]
)


def _larger(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    pairs = st.lists(inner, min_size=2, max_size=4).map(tuple)
    sums = st.lists(st.tuples(st.sampled_from("+-"), inner), min_size=1, max_size=3).map(tuple)
    products = st.lists(st.tuples(st.sampled_from("*/%"), inner), min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Negate, inner),
        st.builds(Chain, inner, sums),
        st.builds(Chain, inner, products),
        st.builds(Compare, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), inner, inner),
        st.builds(Logic, st.sampled_from(["AND", "OR"]), pairs),
        st.builds(Call, st.just("concat"), pairs),
        st.builds(Call, st.sampled_from(["abs", "floor", "lower", "upper"]), st.tuples(inner)),
        st.builds(Call, st.sampled_from(["mod", "power", "endswith", "startswith"]), st.tuples(inner, inner)),
        st.builds(Call, st.just("substring"), st.tuples(inner, inner) | st.tuples(inner, inner, inner)),
        st.builds(Call, st.just("replace"), st.tuples(inner, inner, inner)),
        st.builds(Among, inner, st.lists(inner | LITERALS, min_size=1, max_size=4).map(tuple), st.booleans()),
        st.builds(Among, inner, st.lists(LITERALS, min_size=1, max_size=4).map(tuple), st.booleans()),
        st.builds(Like, inner, PATTERNS, st.booleans()),
        st.builds(
            Case,
            st.none() | inner,
            st.lists(st.tuples(inner, inner), min_size=1, max_size=4).map(tuple),
            st.none() | inner,
        ),
    )


NODES: st.SearchStrategy[Node] = st.recursive(st.one_of(LITERALS, PATHS, CALLS), _larger, max_leaves=25)


@given(
    st.one_of(
        st.text(max_size=60), st.lists(PIECES, max_size=30).map("".join), st.lists(PIECES, max_size=30).map(" ".join)
    )
)
@settings(max_examples=500, deadline=None)
def test_any_text_compiles_and_runs_or_is_an_sql_error(text: str) -> None:
    for select, where in ((text, ""), ("*", text)):
        try:
            compiled = compile_sql(select, where)
        except SqlError as refusal:
            position = refusal.at
        else:
            position = 0
            compiled.evaluate(MESSAGE, {"a": [1], "b": {"c": 2}})
        assert 0 <= position <= len(text)


@given(st.booleans(), st.lists(NODES, max_size=3), st.none() | NODES, PAYLOADS)
@settings(max_examples=500, deadline=None)
def test_compiled_means_what_the_tree_says(star: bool, nodes: list[Node], where: Node | None, payload: object) -> None:
    selection = Selection(star, tuple(Field(f"f{index}", node) for index, node in enumerate(nodes)))
    compiled = compile_trees(selection, where).evaluate(MESSAGE, payload)
    assert repr(compiled) == repr(run(selection, where, MESSAGE, payload))


@given(NODES, PAYLOADS)
@settings(max_examples=200, deadline=None)
def test_a_result_can_always_be_written_as_json(node: Node, payload: object) -> None:
    orjson.dumps(compile_trees(Selection(True, (Field("x", node),)), None).evaluate(MESSAGE, payload))


# The meaning of the SQL, written a second time: a walk over the tree.

_ARITHMETIC = {
    "+": semantics.add,
    "-": semantics.subtract,
    "*": semantics.multiply,
    "/": semantics.divide,
    "%": semantics.modulo,
}


def run(selection: Selection, condition: Node | None, message: DeviceMessage, payload: object) -> object:
    if condition is not None and value(condition, message, payload) is not True:
        return None
    result = dict(payload) if selection.star and isinstance(payload, dict) else {}
    return result | {field.alias: value(field.expression, message, payload) for field in selection.fields}


def value(node: Node, message: DeviceMessage, payload: object) -> object:
    match node:
        case Literal():
            return node.value
        case Path():
            found = _walk(node, payload)
            return ([] if found is None else [found]) if node.listed else found
        case Negate():
            return semantics.negate(value(node.operand, message, payload))
        case Chain():
            result = value(node.first, message, payload)
            for op, operand in node.rest:
                result = _ARITHMETIC[op](result, value(operand, message, payload))
            return result
        case Compare():
            return _compare(node.op, value(node.left, message, payload), value(node.right, message, payload))
        case Logic():
            truths = [value(operand, message, payload) is True for operand in node.operands]
            return all(truths) if node.op == "AND" else any(truths)
        case Call():
            return _call(node, message, payload)
        case Among():
            sought = value(node.operand, message, payload)
            op, every = ("<>", all) if node.negated else ("=", any)
            return every([_compare(op, sought, value(choice, message, payload)) for choice in node.choices])
        case Like():
            text = value(node.operand, message, payload)
            found = isinstance(text, str) and re.fullmatch(".*".join(map(re.escape, node.pieces)), text, re.DOTALL)
            return text is not None and (not found if node.negated else bool(found))
        case Case():
            return _case(node, message, payload)


def _case(node: Case, message: DeviceMessage, payload: object) -> object:
    for wanted, result in node.branches:
        tried = value(wanted, message, payload)
        if node.operand is not None:
            tried = _compare("=", value(node.operand, message, payload), tried)
        if tried is True:
            return value(result, message, payload)
    return None if node.otherwise is None else value(node.otherwise, message, payload)


def _walk(path: Path, payload: object) -> object:
    found = payload
    for step in path.steps:
        if isinstance(step, str):
            found = found.get(step) if isinstance(found, dict) else None
        else:
            found = found[step] if isinstance(found, list) and step < len(found) else None
    return found


def _compare(op: str, left: object, right: object) -> bool:
    if left is None or right is None:
        return False
    numbers = type(left) in (int, float) and type(right) in (int, float)
    same_kind = numbers or type(left) is type(right)
    if op in ("=", "<>"):
        return (same_kind and left == right) is (op == "=")
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        return False
    smaller = bool(left < right)  # type: ignore[operator]
    return {"<": smaller, "<=": smaller or left == right, ">": not smaller and left != right, ">=": not smaller}[op]


def _call(call: Call, message: DeviceMessage, payload: object) -> object:
    args = [value(arg, message, payload) for arg in call.args]
    match call.name.lower():
        case "topic":
            levels = message.topic.split("/")[1:]
            number = int(str(args[0])) if args else 0
            return message.topic if not args else levels[number - 1] if number <= len(levels) else None
        case "devicename":
            return message.device_name
        case "productkey":
            return message.product_key
        case "messageid":
            return str(message.id)
        case "timestamp":
            return (
                dates.render(dates.compile_pattern(str(args[0]), 0), message.received_ms)
                if args
                else message.received_ms
            )
        case "payload":
            return message.payload.decode()
        case "mod":
            return semantics.modulo(args[0], args[1])
        case "concat":
            return None if None in args else "".join(semantics.to_text(arg) for arg in args)
    return _CALLS[call.name](*args)


def _number(function: Callable[..., object]) -> Callable[..., object]:
    def called(*args: object) -> object:
        if not all(type(arg) in (int, float) for arg in args):
            return None
        return function(*args)

    return called


def _texts(function: Callable[..., object], otherwise: object) -> Callable[..., object]:
    def called(*args: object) -> object:
        if not all(type(arg) in (int, float, str) for arg in args):
            return otherwise
        return function(*[arg if isinstance(arg, str) else orjson.dumps(arg).decode() for arg in args])

    return called


def _substring(text: object, start: object, *end: object) -> object:
    if not all(type(number) in (int, float) for number in (start, *end)):
        return None
    first, last = (max(0, math.trunc(float(str(number)))) for number in (start, end[0] if end else 10**9))
    return _texts(lambda found: "".join(found[n] for n in range(first, min(last, len(found)))), None)(text)


_CALLS: dict[str, Callable[..., object]] = {
    "abs": _number(lambda n: semantics.bounded(abs(n))),
    "floor": _number(lambda n: semantics.bounded(math.floor(n))),
    "power": calls.power,
    "lower": _texts(lambda text: text.lower(), None),
    "upper": _texts(lambda text: text.upper(), None),
    "endswith": _texts(
        lambda text, part: text[len(text) - len(part) :] == part if len(part) <= len(text) else False, False
    ),
    "startswith": _texts(lambda text, part: text[: len(part)] == part, False),
    "replace": _texts(lambda text, old, new: text if old == "" else new.join(text.split(old)), None),
    "substring": _substring,
}
