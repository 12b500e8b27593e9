"""docs/reference/operations.md, from the operation table.

    python -m thinghub.api_gateway.entrypoints.reference docs/reference/operations.md

writes the file; without a path the text goes to standard output.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from thinghub.api_gateway.errors import CODES
from thinghub.api_gateway.service.model import Members, rest_only, wire_name
from thinghub.api_gateway.service.operation import Operation
from thinghub.api_gateway.service.table import OPERATIONS

HEADER = """# API operations

Generated from the operation table of api-gateway by
`python -m thinghub.api_gateway.entrypoints.reference docs/reference/operations.md`; do not edit.

Every operation below is on the REST face; those marked *RPC* are also actions of the RPC-style face at `/`
(version `2018-01-20`, GET or POST, parameters in the query or a form body). Names are the same on both. *REST only*
members are not read or written by the RPC face. Every request takes `IotInstanceId`.
"""


def render(operations: Iterable[Operation]) -> str:
    lines = [HEADER]
    group = ""
    for operation in operations:
        if operation.group != group:
            group = operation.group
            lines.append(f"## {group}\n")
        lines.extend(_operation(operation))
    lines.extend(_codes())
    return "\n".join(lines) + "\n"


def _operation(operation: Operation) -> Iterator[str]:
    faces = "RPC and REST" if operation.rpc else "REST only"
    yield f"### {operation.name}\n"
    yield f"{operation.summary} {operation.note}".rstrip() + "\n"
    yield f"- {faces}; role: {operation.role.name.lower()}; {'writes' if operation.write else 'reads'}"
    yield f"- `{operation.rest.method} {operation.rest.path}` -> {operation.rest.status}"
    if operation.form:
        yield f"- sent in the form body by the vendor's SDK: {', '.join(operation.form)}"
    yield ""
    yield from _members("Request", operation.request)
    yield from _members("Answer", operation.response)


def _members(title: str, model: type[Members]) -> Iterator[str]:
    hidden = rest_only(model)
    rows = [
        f"| {wire_name(name, field)} | {_kind(field.annotation)} | {'yes' if field.is_required() else ''} | "
        f"{_remark(field.description, name in hidden)} |"
        for name, field in model.model_fields.items()
        if name != "iot_instance_id"
    ]
    if rows:
        yield f"| {title} | Type | Always | |"
        yield "|---|---|---|---|"
        yield from rows
        yield ""


def _remark(description: str | None, hidden: bool) -> str:
    return " ".join(
        part for part in ((description or "").replace("|", "\\|"), "*REST only.*" if hidden else "") if part
    )


def _kind(annotation: object) -> str:
    """A readable type: text, integer, boolean, an object's members, a list."""
    if isinstance(annotation, type) and issubclass(annotation, Members):
        inner = (f"{wire_name(n, f)}: {_kind(f.annotation)}" for n, f in annotation.model_fields.items())
        return "{" + ", ".join(inner) + "}"
    arguments = [arg for arg in getattr(annotation, "__args__", ()) if arg is not type(None)]
    if getattr(annotation, "__origin__", None) is list:
        return f"[{_kind(arguments[0])}]"
    if arguments and all(isinstance(arg, str) for arg in arguments):
        return " \\| ".join(str(arg) for arg in arguments)
    if arguments:
        return _kind(arguments[0])
    return {bool: "boolean", int: "integer"}.get(annotation, "text")  # type: ignore[call-overload, no-any-return]


def _codes() -> Iterator[str]:
    yield "## Codes\n"
    yield "Codes that begin with `iot.` are HTTP 200 with `Success: false` on the RPC face.\n"
    yield "| Code | HTTP status on the REST face |"
    yield "|---|---|"
    yield from (f"| {code} | {status} |" for code, status in CODES.items())


def main(arguments: list[str]) -> int:
    text = render(OPERATIONS)
    if arguments:
        Path(arguments[0]).write_text(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
