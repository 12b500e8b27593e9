"""What kind of value each field of a SELECT gives, as far as the text alone tells: for tables that are made to fit."""

from thinghub.rule_engine.domain.sql.functions import FUNCTIONS
from thinghub.rule_engine.domain.sql.parser import parse_select
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
    ValueKind,
)

__all__ = ["ValueKind", "field_kinds"]


def field_kinds(select: str) -> dict[str, ValueKind]:
    """By alias. Raises SqlError; empty for an empty text."""
    if not select.strip():
        return {}
    return {field.alias: _kind(field.expression) for field in parse_select(select).fields}


def _kind(node: Node) -> ValueKind:
    match node:
        case Call():
            if node.name.lower() == "timestamp":
                return ValueKind.TEXT if node.args else ValueKind.NUMBER
            return FUNCTIONS[node.name.lower()].gives
        case Chain() | Negate():
            return ValueKind.NUMBER
        case Compare() | Logic() | Among() | Like():
            return ValueKind.BOOLEAN
        case Case():
            results = [result for _, result in node.branches] + ([node.otherwise] if node.otherwise else [])
            kinds = set(map(_kind, results))
            return kinds.pop() if len(kinds) == 1 else ValueKind.ANY
        case Literal():
            if isinstance(node.value, bool):
                return ValueKind.BOOLEAN
            return ValueKind.TEXT if isinstance(node.value, str) else ValueKind.NUMBER
    return ValueKind.ANY
