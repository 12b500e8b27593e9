"""What kind of value each field of a SELECT gives, as far as the text alone tells: for tables that are made to fit."""

from enum import Enum

from thinghub.rule_engine.domain.sql.parser import parse_select
from thinghub.rule_engine.domain.sql.tree import Call, Chain, Compare, Literal, Logic, Negate, Node


class ValueKind(Enum):
    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ANY = "any"  # whatever the payload has there


def field_kinds(select: str) -> dict[str, ValueKind]:
    """By alias. Raises SqlError; empty for an empty text."""
    if not select.strip():
        return {}
    return {field.alias: _kind(field.expression) for field in parse_select(select).fields}


def _kind(node: Node) -> ValueKind:
    match node:
        case Call():
            return ValueKind.NUMBER if node.name.lower() == "timestamp" and not node.args else ValueKind.TEXT
        case Chain() | Negate():
            return ValueKind.NUMBER
        case Compare() | Logic():
            return ValueKind.BOOLEAN
        case Literal():
            if isinstance(node.value, bool):
                return ValueKind.BOOLEAN
            return ValueKind.TEXT if isinstance(node.value, str) else ValueKind.NUMBER
    return ValueKind.ANY
