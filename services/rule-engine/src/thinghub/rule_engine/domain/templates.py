"""`${field}` in action settings: values of the SELECT result.

A name is looked up as a member of the result, then as a dotted path in it; `deviceName`, `productKey` and `messageId`
are also known when the result does not have them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from thinghub.rule_engine.domain.outputs import Output
from thinghub.rule_engine.domain.sql.semantics import to_text

_REFERENCE = re.compile(r"\$\{([^${}]{1,128})\}")


@dataclass(frozen=True, slots=True)
class Reference:
    name: str


@dataclass(frozen=True, slots=True)
class Template:
    pieces: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Reference))

    @property
    def source(self) -> str:
        return "".join(f"${{{piece.name}}}" if isinstance(piece, Reference) else piece for piece in self.pieces)

    @property
    def lone(self) -> str | None:
        """The name of the reference this is, when it is nothing else."""
        first = self.pieces[0]
        return first.name if len(self.pieces) == 1 and isinstance(first, Reference) else None

    def value(self, output: Output) -> object:
        """A lone reference keeps its type; a mixture is text, null when one of its references is."""
        name = self.lone
        return self.text(output) if name is None else look_up(output, name)

    def text(self, output: Output) -> str | None:
        parts: list[str] = []
        for piece in self.pieces:
            value = piece if isinstance(piece, str) else look_up(output, piece.name)
            if value is None:
                return None
            parts.append(to_text(value))
        return "".join(parts)


def parse_template(text: str) -> Template:
    """Raises ValueError for a `${` that does not close."""
    pieces: list[str | Reference] = []
    position = 0
    for match in _REFERENCE.finditer(text):
        pieces.append(text[position : match.start()])
        pieces.append(Reference(match.group(1).strip()))
        position = match.end()
    pieces.append(text[position:])
    if any(isinstance(piece, str) and "${" in piece for piece in pieces):
        raise ValueError("a ${ is not closed, or its name is not 1 to 128 characters")
    return Template(tuple(piece for piece in pieces if piece != "") or ("",))


def look_up(output: Output, name: str) -> object:
    result = output.result
    if name in result:
        return result[name]
    found: object = result
    for member in name.split("."):
        found = found.get(member) if isinstance(found, dict) else None
    return BUILT_IN[name](output) if found is None and name in BUILT_IN else found


BUILT_IN: dict[str, Callable[[Output], str]] = {
    "deviceName": lambda output: output.origin.device_name,
    "productKey": lambda output: output.origin.product_key,
    "messageId": lambda output: str(output.origin.message_id),
}
