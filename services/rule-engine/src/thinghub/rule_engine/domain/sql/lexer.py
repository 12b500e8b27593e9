"""Characters to tokens. Every token knows where it starts; nothing here looks at a character twice."""

import math
import re
from dataclasses import dataclass
from enum import Enum

from thinghub.rule_engine.errors import SqlError

MAX_TEXT_BYTES = 10_240
MAX_INTEGER = 2**63 - 1

_NAME = re.compile(r"[^\W\d]\w*(?:\.\w+|\[\d+\])*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_OPERATORS = ("<=", ">=", "<>", "<", ">", "=", "+", "-", "*", "/", "%", "(", ")", ",")
_HINTS = {
    "!=": "write <>",
    "!": "NOT is not available",
    "==": "write =",
    "||": "write OR, or concat() for text",
    "&&": "write AND",
    "--": "comments are not available",
    "/*": "comments are not available",
    ";": "one expression only",
    "?": "parameters are not available",
    "`": "quote a variable with double quotes",
}


class Kind(Enum):
    NAME = "name"  # unquoted: keyword, function or path
    VARIABLE = "variable"  # "double quoted": a path
    TEXT = "text"  # 'single quoted': a constant
    NUMBER = "number"
    OPERATOR = "operator"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    at: int
    number: int | float = 0

    def shown(self) -> str:
        return "the end" if self.kind is Kind.END else f"{self.text[:40]!r}"


def tokens(text: str) -> list[Token]:
    """All tokens of a clause, an END last. Raises SqlError."""
    if len(text.encode("utf-8", "replace")) > MAX_TEXT_BYTES:
        raise SqlError(f"longer than {MAX_TEXT_BYTES} bytes", MAX_TEXT_BYTES)
    found: list[Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        token, at = _next(text, at)
        found.append(token)
    found.append(Token(Kind.END, "", len(text)))
    return found


def _next(text: str, at: int) -> tuple[Token, int]:
    char = text[at]
    if char == "'":
        return _constant(text, at)
    if char == '"':
        return _variable(text, at)
    if match := _NUMBER.match(text, at):
        return _number(text, at, match.end())
    if match := _NAME.match(text, at):
        return Token(Kind.NAME, match.group(), at), match.end()
    return _operator(text, at)


def _constant(text: str, start: int) -> tuple[Token, int]:
    """`''` and `\\'` are a quote, `\\\\` a backslash; any other backslash stands for itself."""
    pieces: list[str] = []
    at = start + 1
    while at < len(text):
        pair = text[at : at + 2]
        if pair in ("''", "\\'", "\\\\"):
            pieces.append(pair[1])
            at += 2
        elif text[at] == "'":
            return Token(Kind.TEXT, "".join(pieces), start), at + 1
        else:
            pieces.append(text[at])
            at += 1
    raise SqlError("a constant has no closing '", start)


def _variable(text: str, start: int) -> tuple[Token, int]:
    end = text.find('"', start + 1)
    if end < 0:
        raise SqlError('a variable has no closing "', start)
    return Token(Kind.VARIABLE, text[start + 1 : end], start), end + 1


def _number(text: str, start: int, end: int) -> tuple[Token, int]:
    digits = text[start:end]
    if text[end : end + 1].isalnum() or text[end : end + 1] in ("_", "."):
        raise SqlError(f"{digits[:40]!r} is not a number: it goes on with {text[end]!r}", start)
    if digits.isascii() and digits.isdigit() and len(digits) <= 19 and int(digits) <= MAX_INTEGER:
        return Token(Kind.NUMBER, digits, start, int(digits)), end
    if not digits.isascii() or len(digits) > 40 or digits.isdigit() or not math.isfinite(float(digits)):
        raise SqlError(f"the number {digits[:40]} is out of range", start)
    return Token(Kind.NUMBER, digits, start, float(digits)), end


def _operator(text: str, at: int) -> tuple[Token, int]:
    for width in (2, 1):
        if hint := _HINTS.get(text[at : at + width]):
            raise SqlError(f"{text[at : at + width]!r} is not available: {hint}", at)
    for operator in _OPERATORS:
        if text.startswith(operator, at):
            return Token(Kind.OPERATOR, operator, at), at + len(operator)
    raise SqlError(f"unexpected character {text[at]!r}", at)
