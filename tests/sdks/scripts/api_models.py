"""The requests and answers that `alibabacloud-iot20180120` has models of; runs in the SDKs' environment.

Prints `{ACTION: {"request": SHAPE, "answer": SHAPE}}`. A shape is a type's name ("str", "int", ...), a list with the
shape of its items, or an object with the shapes of its members, by the contract's names.
"""

import inspect
import json
from typing import Any, get_args, get_origin

from alibabacloud_iot20180120 import client, models  # type: ignore[import-not-found]


def filled(kind: Any) -> Any:
    """A value of that type with every member set; what stands for a text, a number, ... is the type's name."""
    if get_origin(kind) is list:
        return [filled(get_args(kind)[0])]
    if hasattr(kind, "to_map"):
        members = inspect.signature(kind).parameters.values()
        return kind(**{member.name: filled(member.annotation) for member in members})
    return getattr(get_origin(kind) or kind, "__name__", "any")


def main() -> None:
    known = {}
    for _, method in inspect.getmembers(client.Client, inspect.isfunction):
        parameters = inspect.signature(method).parameters
        if list(parameters) == ["self", "request"] and not inspect.iscoroutinefunction(method):
            action = parameters["request"].annotation.__name__.removesuffix("Request")
            answer = getattr(models, f"{action}ResponseBody", None)
            if answer is not None:
                shapes = {"request": filled(parameters["request"].annotation), "answer": filled(answer)}
                known[action] = {part: shape.to_map() for part, shape in shapes.items()}
    print(json.dumps(known))


main()
