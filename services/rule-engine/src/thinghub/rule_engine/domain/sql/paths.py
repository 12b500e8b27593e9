"""The text of a path to its steps: `a.b[0].c`, and in double quotes also `$.a[0]` (the same) and `.a[0]` (listed)."""

import re

from thinghub.rule_engine.domain.sql.tree import Path
from thinghub.rule_engine.errors import SqlError

MAX_STEPS = 64
_STEP = re.compile(r"\.?([^.\[\]\s][^.\[\]]*)|\[(\d{1,5})\]")


def parse_path(text: str, at: int, quoted: bool) -> Path:
    """Raises SqlError at the step that is wrong. `at` is where `text` starts in its clause."""
    listed = quoted and text.startswith(".") and not text.startswith("..")
    body = text[1:] if listed or (quoted and text.startswith("$") and text[1:2] in ("", ".", "[")) else text
    offset = at + len(text) - len(body)
    steps: list[str | int] = []
    position = 0
    while position < len(body):
        step, position = _step(body, position, offset, first=not steps and (listed or len(body) == len(text)))
        steps.append(step)
        if len(steps) > MAX_STEPS:
            raise SqlError(f"a path has at most {MAX_STEPS} steps", at)
    if not steps and body == text:
        raise SqlError("an empty variable name", at)
    return Path(tuple(steps), listed, at)


def _step(body: str, position: int, offset: int, first: bool) -> tuple[str | int, int]:
    match = _STEP.match(body, position)
    wrong_dot = match is not None and match.group(1) is not None and (body[position] == ".") is first
    if match is None or wrong_dot:
        raise SqlError(f"a path cannot go on with {body[position : position + 20]!r}", offset + position)
    if match.group(1) is not None:
        return match.group(1), match.end()
    return int(match.group(2)), match.end()
