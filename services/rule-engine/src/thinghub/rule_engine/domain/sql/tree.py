"""The tree of a rule's SQL. `at` is the offset of a node's first character in its clause, for messages."""

from dataclasses import dataclass


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


Node = Literal | Path | Call | Negate | Chain | Compare | Logic


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
