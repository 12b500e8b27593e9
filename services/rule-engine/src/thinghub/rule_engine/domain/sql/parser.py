"""Tokens to the tree: a precedence climber whose depth is counted, so that no text can exhaust the stack.

selection  := item (',' item)*                     item := '*' | expression [[AS] alias]
expression := operand (operator operand)*          OR < AND < = <> < <= > >= IN LIKE < + - < * / %
              operand [NOT] IN '(' expression,+ ')'    operand [NOT] LIKE text
operand    := '-' operand | '(' expression ')' | name '(' expression,* ')' | path | number | text | TRUE | FALSE | case
case       := CASE [expression] (WHEN expression THEN expression)+ [ELSE expression] END
"""

from thinghub.rule_engine.domain.sql.functions import check_call
from thinghub.rule_engine.domain.sql.lexer import Kind, Token, tokens
from thinghub.rule_engine.domain.sql.paths import parse_path
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

MAX_FIELDS = 50
MAX_NESTING = 100
MAX_ALIAS = 64

# fmt: off
_LEVELS = {
    "OR": 1, "AND": 2, "=": 3, "<>": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "IN": 3, "LIKE": 3, "NOT": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5,
}
# fmt: on
_TESTS = ("IN", "LIKE", "NOT")
_COMPARISON = 3
_UNAVAILABLE = {
    "NOT": "write the opposite comparison",
    "IS": "a comparison with a missing value is false",
    "NULL": "a comparison with a missing value is false",
    "BETWEEN": "write x >= 1 AND x <= 2",
    "DISTINCT": "each message is looked at alone",
    "SELECT": "the field list stands alone, without SELECT, and sub-queries are not available",
    "FROM": "the topic is a part of its own",
    "WHERE": "the condition is a part of its own, without WHERE",
    "GROUP": "each message is looked at alone",
    "ORDER": "each message is looked at alone",
    "LIMIT": "each message is looked at alone",
    "JOIN": "each message is looked at alone",
    "UNION": "each message is looked at alone",
    "HAVING": "each message is looked at alone",
}
_RESERVED = {"AND", "OR", "AS", "IN", "LIKE", "CASE", "WHEN", "THEN", "ELSE", "END", *_UNAVAILABLE}


def parse_select(text: str) -> Selection:
    """Raises SqlError (clause `select`)."""
    try:
        return _Parser(tokens(text)).selection()
    except SqlError as error:
        raise error.within("select") from None


def parse_where(text: str) -> Node | None:
    """None when there is no condition. Raises SqlError (clause `where`)."""
    try:
        return _Parser(tokens(text)).condition() if text.strip() else None
    except SqlError as error:
        raise error.within("where") from None


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._index = 0
        self._depth = 0
        self._in_case = False

    def selection(self) -> Selection:
        star, fields = False, dict[str, Field]()
        while True:
            if len(fields) + star == MAX_FIELDS:
                raise SqlError(f"more than {MAX_FIELDS} fields", self._peek.at)
            if self._is("*"):
                if star:
                    raise SqlError("* stands once only", self._peek.at)
                self._take()
                star = True
            else:
                field = self._field()
                if field.alias in fields:
                    raise SqlError(f"two fields are named {field.alias!r}: give one another alias", field.at)
                fields[field.alias] = field
            if not self._is(","):
                break
            self._take()
        self._end()
        return Selection(star, tuple(fields.values()))

    def condition(self) -> Node:
        node = self._expression(1)
        self._end()
        return node

    @property
    def _peek(self) -> Token:
        return self._tokens[self._index]

    def _take(self) -> Token:
        token = self._peek
        self._index += token.kind is not Kind.END
        return token

    def _is(self, operator: str) -> bool:
        return self._peek.kind is Kind.OPERATOR and self._peek.text == operator

    def _operator(self) -> str:
        """The binary operator that comes next, or empty."""
        token = self._peek
        word = token.text.upper() if token.kind is Kind.NAME else token.text
        if word == "NOT" and not self._negates(self._tokens[min(self._index + 1, len(self._tokens) - 1)]):
            return ""
        return word if token.kind in (Kind.OPERATOR, Kind.NAME) and word in _LEVELS else ""

    @staticmethod
    def _negates(after: Token) -> bool:
        return after.kind is Kind.NAME and after.text.upper() in ("IN", "LIKE")

    def _is_word(self, word: str) -> bool:
        return self._peek.kind is Kind.NAME and self._peek.text.upper() == word

    def _end(self) -> None:
        if self._peek.kind is not Kind.END:
            raise self._unexpected("an operator or the end")

    def _unexpected(self, wanted: str) -> SqlError:
        token = self._peek
        if token.kind is Kind.NAME and token.text.upper() in _UNAVAILABLE:
            word = token.text.upper()
            return SqlError(f"{word} is not available: {_UNAVAILABLE[word]}", token.at)
        return SqlError(f"expected {wanted}, found {token.shown()}", token.at)

    def _expect(self, operator: str) -> None:
        if not self._is(operator):
            raise self._unexpected(f"{operator!r}")
        self._take()

    def _field(self) -> Field:
        start = self._peek.at
        node = self._expression(1)
        if self._is_word("AS"):
            self._take()
            return Field(self._alias(), node, start)
        return Field(_own_name(node, start), node, start)

    def _alias(self) -> str:
        token = self._take()
        if token.kind not in (Kind.NAME, Kind.VARIABLE, Kind.TEXT) or not 1 <= len(token.text) <= MAX_ALIAS:
            raise SqlError(f"expected an alias of 1 to {MAX_ALIAS} characters, found {token.shown()}", token.at)
        if token.kind is Kind.NAME and (token.text.upper() in _RESERVED or not token.text.isidentifier()):
            raise SqlError(f"{token.text!r} cannot be an alias without quotes", token.at)
        return token.text

    def _expression(self, least: int) -> Node:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise SqlError(f"nested deeper than {MAX_NESTING}", self._peek.at)
        left = self._operand()
        while (level := _LEVELS.get(self._operator(), 0)) >= least:
            if level == _COMPARISON:
                left = self._comparison(left)
                continue
            at, rest = self._peek.at, list[tuple[str, Node]]()
            while _LEVELS.get(operator := self._operator(), 0) == level:
                self._take()
                rest.append((operator, self._expression(level + 1)))
            left = _joined(level, left, rest, at)
        self._depth -= 1
        return left

    def _comparison(self, left: Node) -> Node:
        """One operator and its right side; a second would have to be joined to it."""
        operator, at = self._operator(), self._take().at
        if operator in _TESTS:
            found = self._test(left, operator, at)
        else:
            found = Compare(operator, left, self._expression(_COMPARISON + 1), at)
        if _LEVELS.get(self._operator()) == _COMPARISON:
            raise SqlError("comparisons cannot follow each other: join them with AND", self._peek.at)
        return found

    def _test(self, left: Node, operator: str, at: int) -> Node:
        negated = operator == "NOT"
        if negated:
            operator = self._take().text.upper()
        if operator == "LIKE":
            if self._peek.kind is not Kind.TEXT:
                raise SqlError(f"LIKE takes a pattern in single quotes, found {self._peek.shown()}", self._peek.at)
            return Like(left, tuple(self._take().text.split("%")), negated, at)
        if not self._is("("):
            raise self._unexpected("'(' and the values of IN")
        start = self._peek.at
        choices = self._arguments()
        if not choices:
            raise SqlError("IN needs at least one value", start)
        return Among(left, choices, negated, at)

    def _case(self) -> Node:
        at = self._take().at
        if self._in_case:
            raise SqlError("CASE cannot stand within CASE", at)
        self._in_case = True
        operand = None if self._is_word("WHEN") else self._expression(1)
        branches: list[tuple[Node, Node]] = []
        while self._is_word("WHEN") or not branches:
            self._word("WHEN")
            wanted = self._expression(1)
            self._word("THEN")
            branches.append((wanted, self._expression(1)))
        otherwise = None
        if self._is_word("ELSE"):
            self._take()
            otherwise = self._expression(1)
        self._word("END")
        self._in_case = False
        return Case(operand, tuple(branches), otherwise, at)

    def _word(self, word: str) -> None:
        if not self._is_word(word):
            raise self._unexpected(f"an operator or {word}" if word != "WHEN" else "WHEN")
        self._take()

    def _operand(self) -> Node:
        token = self._peek
        if token.kind is Kind.NUMBER:
            return Literal(self._take().number, token.at)
        if token.kind is Kind.TEXT:
            return Literal(self._take().text, token.at)
        if token.kind is Kind.VARIABLE:
            return parse_path(self._take().text, token.at + 1, quoted=True)
        if self._is_word("CASE"):
            return self._case()
        if token.kind is Kind.NAME and token.text.upper() not in _RESERVED:
            return self._named(self._take())
        if self._is("-"):
            return self._negation(self._take())
        if self._is("("):
            self._take()
            inner = self._expression(1)
            self._expect(")")
            return inner
        raise self._unexpected("a value")

    def _negation(self, sign: Token) -> Node:
        operand = self._expression(max(_LEVELS.values()) + 1)
        if isinstance(operand, Literal) and type(operand.value) in (int, float):
            return Literal(-operand.value, sign.at)  # type: ignore[operator]
        _refuse_text(operand, "-")
        return Negate(operand, sign.at)

    def _named(self, token: Token) -> Node:
        if self._is("("):
            call = Call(token.text, self._arguments(), token.at)
            check_call(call)
            return call
        if token.text.upper() in ("TRUE", "FALSE"):
            return Literal(token.text.upper() == "TRUE", token.at)
        return parse_path(token.text, token.at, quoted=False)

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(")
        found: list[Node] = []
        while not self._is(")"):
            if found:
                self._expect(",")
            found.append(self._expression(1))
        self._take()
        return tuple(found)


def _joined(level: int, left: Node, rest: list[tuple[str, Node]], at: int) -> Node:
    if level < _COMPARISON:
        return Logic(rest[0][0], (left, *(node for _, node in rest)), at)
    for operator, node in ((rest[0][0], left), *rest):
        _refuse_text(node, operator)
    return Chain(left, tuple(rest), at)


def _refuse_text(node: Node, operator: str) -> None:
    if isinstance(node, Literal) and isinstance(node.value, str):
        raise SqlError(f"{operator} is arithmetic: use concat() for text", node.at)


def _own_name(node: Node, start: int) -> str:
    """The name of a field without alias: a path's last member, a function's name."""
    if isinstance(node, Path):
        names = [step for step in node.steps if isinstance(step, str)]
        if names and len(names[-1]) <= MAX_ALIAS:
            return names[-1]
    if isinstance(node, Call):
        return node.name
    raise SqlError("this field needs a name: add AS and an alias", start)
