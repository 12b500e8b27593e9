"""The rule SQL: text to tokens (`lexer`), to a tree (`parser`, `tree`), to a Python function (`compiler`)."""

from thinghub.rule_engine.domain.sql.compiler import Compiled, DeviceMessage, compile_sql

__all__ = ["Compiled", "DeviceMessage", "compile_sql"]
