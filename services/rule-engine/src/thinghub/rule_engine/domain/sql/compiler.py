"""The tree to one Python function, made once when a rule is loaded.

The source holds only names that this file makes up: every text and number of the user is a constant bound in the
function's namespace. A path becomes `dict.get`, a comparison with a constant an inline test, the rest a call of
`semantics`. Expressions that nest deeper than Python's parser allows are spilled to local names; nothing has a side
effect, so evaluating a spilled part early is only a little slower.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from thinghub.rule_engine.domain.sql import calls, dates, semantics
from thinghub.rule_engine.domain.sql.functions import FUNCTIONS
from thinghub.rule_engine.domain.sql.parser import parse_select, parse_where
from thinghub.rule_engine.domain.sql.tree import (
    Among,
    Call,
    Case,
    Chain,
    Compare,
    Like,
    Literal,
    Logic,
    Negate,
    Node,
    Path,
    Selection,
)


class DeviceMessage(Protocol):
    """What functions of the SQL read of a message."""

    @property
    def id(self) -> int: ...
    @property
    def product_key(self) -> str: ...
    @property
    def device_name(self) -> str: ...
    @property
    def topic(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def received_ms(self) -> int: ...


Evaluate = Callable[[DeviceMessage, object], dict[str, object] | None]


@dataclass(frozen=True, slots=True)
class Compiled:
    """`evaluate(message, payload)` gives the result, or None when the condition does not hold. With `star` the payload
    must be a JSON object: the caller checks."""

    evaluate: Evaluate
    star: bool
    source: str


_MAX_DEPTH = 20
_RUNTIME: dict[str, object] = {
    "__builtins__": {},
    "dict": dict,
    "list": list,
    "len": len,
    "str": str,
    "bool": bool,
    "type": type,
    "EMPTY": {},
    "NUMBERS": semantics.NUMBERS,
    "add": semantics.add,
    "subtract": semantics.subtract,
    "multiply": semantics.multiply,
    "divide": semantics.divide,
    "modulo": semantics.modulo,
    "negate": semantics.negate,
    "same": semantics.same,
    "different": semantics.different,
    "less": semantics.less,
    "less_or_same": semantics.less_or_same,
    "concat": semantics.concat,
    "topic_level": semantics.topic_level,
    "render_date": dates.render,
    "one_of": semantics.one_of,
    "none_of": semantics.none_of,
    "like": semantics.like,
    "unlike": semantics.unlike,
    "payload": calls.payload,
    "absolute": calls.absolute,
    "floor": calls.floor,
    "power": calls.power,
    "lower": calls.lower,
    "upper": calls.upper,
    "replace": calls.replace,
    "substring": calls.substring,
    "endswith": calls.endswith,
    "startswith": calls.startswith,
}
_ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_GENERAL = {
    "=": "same({0}, {1})",
    "<>": "different({0}, {1})",
    "<": "less({0}, {1})",
    "<=": "less_or_same({0}, {1})",
    ">": "less({1}, {0})",
    ">=": "less_or_same({1}, {0})",
}


def compile_sql(select: str, where: str) -> Compiled:
    """Raises SqlError with the clause and the position of what is wrong."""
    return compile_trees(parse_select(select), parse_where(where))


def compile_trees(selection: Selection, condition: Node | None) -> Compiled:
    emitter = _Emitter()
    if condition is not None:
        emitter.line(f"if not {emitter.condition(condition)}: return None")
    items = [f"{emitter.bind(field.alias)}: {emitter.value(field.expression)}" for field in selection.fields]
    emitter.line(f"return {{{', '.join(['**p'] * selection.star + items)}}}")
    source = emitter.source()
    namespace = {**_RUNTIME, **emitter.constants}
    exec(compile(source, "<rule>", "exec"), namespace)  # generated above: no user text in it
    return Compiled(namespace["evaluate"], selection.star, source)  # type: ignore[arg-type]


class _Emitter:
    def __init__(self) -> None:
        self.constants: dict[str, object] = {}
        self._lines: list[str] = []
        self._locals = 0
        self._rooted = False

    def source(self) -> str:
        root = ["o = p if type(p) is dict else EMPTY"] if self._rooted else []
        return "def evaluate(m, p):\n" + "".join(f"    {line}\n" for line in root + self._lines)

    def line(self, text: str) -> None:
        self._lines.append(text)

    def bind(self, value: object) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def local(self) -> str:
        self._locals += 1
        return f"t{self._locals}"

    def value(self, node: Node) -> str:
        return self._spilled(self._emit(node))

    def condition(self, node: Node) -> str:
        text = self.value(node)
        return text if isinstance(node, Compare | Logic | Among | Like) else f"({text} is True)"

    def _spilled(self, text: str) -> str:
        if _nesting(text) < _MAX_DEPTH:
            return text
        name = self.local()
        self.line(f"{name} = {text}")
        return name

    def _emit(self, node: Node) -> str:
        match node:
            case Literal():
                return self.bind(node.value)
            case Path():
                return self._path(node)
            case Call():
                return FUNCTIONS[node.name.lower()].emit(node, [self.value(arg) for arg in node.args], self.bind)
            case Negate():
                return f"negate({self.value(node.operand)})"
            case Chain():
                return self._chain(node)
            case Compare():
                return self._compare(node)
            case Logic():
                return "(" + f" {node.op.lower()} ".join(self.condition(operand) for operand in node.operands) + ")"
            case Among():
                return self._among(node)
            case Like():
                return f"{'unlike' if node.negated else 'like'}({self.value(node.operand)}, {self.bind(node.pieces)})"
            case Case():
                return self._case(node)

    def _among(self, node: Among) -> str:
        constants = [choice.value for choice in node.choices if isinstance(choice, Literal)]
        if len(constants) == len(node.choices):
            others = frozenset(value for value in constants if not isinstance(value, bool))
            booleans = tuple(value for value in constants if isinstance(value, bool))
            test = "none_of" if node.negated else "one_of"
            return f"{test}({self.value(node.operand)}, {self.bind(others)}, {self.bind(booleans)})"
        value = self._named(node.operand)
        test, joint = ("different", " and ") if node.negated else ("same", " or ")
        return "(" + joint.join(f"{test}({value}, {self.value(choice)})" for choice in node.choices) + ")"

    def _case(self, node: Case) -> str:
        """From the last branch to the first, so that a spilled rest is there before it is named."""
        if node.operand is None:
            tests = [self.condition(wanted) for wanted, _ in node.branches]
        else:
            value = self._named(node.operand)
            tests = [f"same({value}, {self.value(wanted)})" for wanted, _ in node.branches]
        results = [self.value(result) for _, result in node.branches]
        text = "None" if node.otherwise is None else self.value(node.otherwise)
        for test, result in zip(reversed(tests), reversed(results), strict=True):
            text = self._spilled(f"({result} if {test} else {text})")
        return text

    def _named(self, node: Node) -> str:
        """The value under a name of its own, for what looks at it several times."""
        name = self.local()
        self.line(f"{name} = {self.value(node)}")
        return name

    def _chain(self, node: Chain) -> str:
        text = self.value(node.first)
        for op, operand in node.rest:
            text = self._spilled(f"{_ARITHMETIC[op]}({text}, {self.value(operand)})")
        return text

    def _path(self, node: Path) -> str:
        text = "p"
        for depth, step in enumerate(node.steps):
            text = self._spilled(self._step(text, step, depth))
        if not node.listed:
            return text
        name = self.local()
        return f"([{name}] if ({name} := {text}) is not None else [])"

    def _step(self, text: str, step: str | int, depth: int) -> str:
        name = self.local()
        if isinstance(step, int):
            return f"({name}[{step}] if type({name} := {text}) is list and len({name}) > {step} else None)"
        if depth == 0:
            self._rooted = True
            return f"o.get({self.bind(step)})"
        return f"({name}.get({self.bind(step)}) if type({name} := {text}) is dict else None)"

    def _compare(self, node: Compare) -> str:
        op, left, right = node.op, node.left, node.right
        if isinstance(left, Literal):
            op, left, right = _MIRRORED[op], right, left
        if not isinstance(right, Literal):
            return _GENERAL[op].format(self.value(left), self.value(right))
        value = self.value(left)
        if isinstance(right.value, bool):
            return self._with_boolean(op, value, right.value)
        if isinstance(right.value, str):
            return self._with_text(op, value, self.bind(right.value))
        return self._with_number(op, value, self.bind(right.value))

    def _with_boolean(self, op: str, value: str, constant: bool) -> str:
        name = self.local()
        if op == "=":
            return f"({value} is {constant})"
        return f"(({name} := {value}) is not None and {name} is not {constant})" if op == "<>" else "(False)"

    def _with_text(self, op: str, value: str, constant: str) -> str:
        name = self.local()
        if op == "=":
            return f"({value} == {constant})"
        if op == "<>":
            return f"(({name} := {value}) is not None and {name} != {constant})"
        return f"(type({name} := {value}) is str and {name} {op} {constant})"

    def _with_number(self, op: str, value: str, constant: str) -> str:
        name = self.local()
        if op == "=":
            return f"(({name} := {value}) == {constant} and type({name}) is not bool)"
        if op == "<>":
            return f"(({name} := {value}) is not None and ({name} != {constant} or type({name}) is bool))"
        return f"(type({name} := {value}) in NUMBERS and {name} {op} {constant})"


def _nesting(text: str) -> int:
    depth = deepest = 0
    for char in text:
        if char in "([":
            depth += 1
            deepest = max(deepest, depth)
        elif char in ")]":
            depth -= 1
    return deepest
