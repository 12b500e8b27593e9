"""The tree of a rule's SQL. `at` is the offset of a node's first character in its clause, for messages."""

from dataclasses import dataclass
from enum import Enum


class ValueKind(Enum):
    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ANY = "any"  # whatever the payload has there


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int | float | bool
    at: int = 0


@dataclass(frozen=True, slots=True)
class Path:
    """Members and indexes from the payload's root. A `listed` path (`".a[0]"`) yields a list of what it finds."""

    steps: tuple[str | int, ...]
    listed: bool = False
    at: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    args: "tuple[Node, ...]" = ()
    at: int = 0


@dataclass(frozen=True, slots=True)
class Negate:
    operand: "Node"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Chain:
    """Operators of one precedence, applied from the left: `first op a op b ...`; either `+ -` or `* / %`."""

    first: "Node"
    rest: "tuple[tuple[str, Node], ...]"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Compare:
    op: str
    left: "Node"
    right: "Node"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Logic:
    """`op` is AND or OR; two operands or more."""

    op: str
    operands: "tuple[Node, ...]"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Among:
    """`operand IN (choices)`: the same as one of them; `negated`, different from each."""

    operand: "Node"
    choices: "tuple[Node, ...]"
    negated: bool = False
    at: int = 0


@dataclass(frozen=True, slots=True)
class Like:
    """`pieces` are the constant texts between the `%` of the pattern: one piece when it has none."""

    operand: "Node"
    pieces: tuple[str, ...]
    negated: bool = False
    at: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """`CASE operand WHEN value THEN result`, or without operand `CASE WHEN condition THEN result`."""

    operand: "Node | None"
    branches: "tuple[tuple[Node, Node], ...]"
    otherwise: "Node | None" = None
    at: int = 0


Node = Literal | Path | Call | Negate | Chain | Compare | Logic | Among | Like | Case


@dataclass(frozen=True, slots=True)
class Field:
    alias: str
    expression: Node
    at: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """`star` copies the payload's members first; a field of the same name replaces its member."""

    star: bool
    fields: tuple[Field, ...]
