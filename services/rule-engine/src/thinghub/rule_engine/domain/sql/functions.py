"""The functions of the SQL, as a table: how many arguments, what is checked at creation, and the code that calls them.

`emit` gets the source of each argument and returns source; `m` is the message in the generated function.
"""

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thinghub.rule_engine.domain.sql import dates
from thinghub.rule_engine.domain.sql.tree import Call, Literal, ValueKind
from thinghub.rule_engine.errors import SqlError

Bind = Callable[[object], str]
Emit = Callable[[Call, Sequence[str], Bind], str]


@dataclass(frozen=True, slots=True)
class Function:
    least: int
    most: int
    emit: Emit
    check: Callable[[Call], None] = lambda call: None
    gives: ValueKind = ValueKind.TEXT


def _check_level(call: Call) -> None:
    for arg in call.args:
        if not isinstance(arg, Literal) or type(arg.value) is not int or not 1 <= arg.value <= 64:
            raise SqlError("topic() takes the number of a level, from 1 to 64", arg.at)


def _check_pattern(call: Call) -> None:
    for arg in call.args:
        if not isinstance(arg, Literal) or not isinstance(arg.value, str):
            raise SqlError("timestamp() takes a date pattern in single quotes", arg.at)
        dates.compile_pattern(arg.value, arg.at)


def _emit_topic(call: Call, args: Sequence[str], bind: Bind) -> str:
    return f"topic_level(m.topic, {args[0]})" if args else "m.topic"


def _emit_timestamp(call: Call, args: Sequence[str], bind: Bind) -> str:
    if not call.args:
        return "m.received_ms"
    [pattern] = call.args
    assert isinstance(pattern, Literal)
    return f"render_date({bind(dates.compile_pattern(str(pattern.value), pattern.at))}, m.received_ms)"


# What devices write and Java knows too; names in any case.
_ENCODINGS = ("utf-8", "us-ascii", "iso-8859-1", "gbk", "gb2312", "gb18030", "utf-16", "utf-16le", "utf-16be")


def _check_encoding(call: Call) -> None:
    for arg in call.args:
        if not isinstance(arg, Literal) or str(arg.value).lower() not in _ENCODINGS:
            raise SqlError(f"payload() takes one of the encodings {', '.join(_ENCODINGS)}, in single quotes", arg.at)


def _emit_payload(call: Call, args: Sequence[str], bind: Bind) -> str:
    [encoding] = [str(arg.value).lower() for arg in call.args if isinstance(arg, Literal)] or ["utf-8"]
    return f"payload(m.payload, {bind(codecs.lookup(encoding).name)})"


def _check_substring(call: Call) -> None:
    for arg in call.args:
        if isinstance(arg, Literal) and isinstance(arg.value, bool):
            raise SqlError("substring() takes no boolean", arg.at)


def _calls(name: str) -> Emit:
    return lambda call, args, bind: f"{name}({', '.join(args)})"


FUNCTIONS: dict[str, Function] = {
    "topic": Function(0, 1, _emit_topic, _check_level),
    "devicename": Function(0, 0, lambda call, args, bind: "m.device_name"),
    "productkey": Function(0, 0, lambda call, args, bind: "m.product_key"),
    "messageid": Function(0, 0, lambda call, args, bind: "str(m.id)"),
    "timestamp": Function(0, 1, _emit_timestamp, _check_pattern),
    "concat": Function(2, 50, _calls("concat")),
    "payload": Function(0, 1, _emit_payload, _check_encoding),
    "abs": Function(1, 1, _calls("absolute"), gives=ValueKind.NUMBER),
    "floor": Function(1, 1, _calls("floor"), gives=ValueKind.NUMBER),
    "mod": Function(2, 2, _calls("modulo"), gives=ValueKind.NUMBER),
    "power": Function(2, 2, _calls("power"), gives=ValueKind.NUMBER),
    "lower": Function(1, 1, _calls("lower")),
    "upper": Function(1, 1, _calls("upper")),
    "replace": Function(3, 3, _calls("replace")),
    "substring": Function(2, 3, _calls("substring"), _check_substring),
    "endswith": Function(2, 2, _calls("endswith"), gives=ValueKind.BOOLEAN),
    "startswith": Function(2, 2, _calls("startswith"), gives=ValueKind.BOOLEAN),
}
_SPELLED = {"devicename": "deviceName", "productkey": "productKey", "messageid": "messageId"}
NAMES = ", ".join(_SPELLED.get(name, name) for name in FUNCTIONS)


def check_call(call: Call) -> None:
    """Raises SqlError when the function does not exist or cannot be called so."""
    function = FUNCTIONS.get(call.name.lower())
    if function is None:
        raise SqlError(f"the function {call.name}() is not available; there are {NAMES}", call.at)
    if not function.least <= len(call.args) <= function.most:
        wanted = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
        raise SqlError(f"{call.name}() takes {wanted} arguments, not {len(call.args)}", call.at)
    function.check(call)
