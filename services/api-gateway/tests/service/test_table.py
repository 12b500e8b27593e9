"""The operation table against the public contract's member lists (tests/data/contract_shapes.json), and itself."""

import json
import typing
from pathlib import Path
from types import UnionType

import pytest

from thinghub.api_gateway.domain.values import Role
from thinghub.api_gateway.service.model import Members, rest_only, wire_name
from thinghub.api_gateway.service.operation import Operation
from thinghub.api_gateway.service.table import OPERATIONS

SHAPES = json.loads((Path(__file__).parent.parent / "data" / "contract_shapes.json").read_text())
CONTRACT = [operation for operation in OPERATIONS if operation.rpc]
IDS = [operation.name for operation in CONTRACT]
Shape = str | list["Shape"] | dict[str, "Shape"]


def read(text: str) -> dict[str, Shape]:
    """`A:S, B:{C:[{D:I}]}` as nested dicts and lists of "S", "I", "B"."""
    shape, rest = _object(text.replace(" ", "") + "}")
    assert rest == ""
    return shape


def _object(text: str) -> tuple[dict[str, Shape], str]:
    members: dict[str, Shape] = {}
    while not text.startswith("}"):
        name, _, text = text.partition(":")
        members[name.rstrip("†")], text = _value(text)
        text = text.removeprefix(",")
    return members, text[1:]


def _value(text: str) -> tuple[Shape, str]:
    if text.startswith("["):
        inner, text = _value(text[1:])
        return [inner], text[1:]
    if text.startswith("{"):
        return _object(text[1:])
    return text[0], text[1:]


def ours(model: type[Members]) -> dict[str, Shape]:
    hidden = rest_only(model)
    return {wire_name(n, f): _kind(f.annotation) for n, f in model.model_fields.items() if n not in hidden}


def _kind(annotation: object) -> Shape:
    if isinstance(annotation, UnionType):
        annotation = next(arg for arg in annotation.__args__ if arg is not type(None))
    if typing.get_origin(annotation) is list:
        return [_kind(typing.get_args(annotation)[0])]
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, Members):
        return ours(annotation)
    assert isinstance(annotation, type)
    return {bool: "B", int: "I", str: "S"}[annotation]


def strays(mine: Shape, theirs: Shape, path: str = "") -> list[str]:
    """Members of ours that the contract has not, or has as another type."""
    if isinstance(mine, list) and isinstance(theirs, list):
        return strays(mine[0], theirs[0], f"{path}[]")
    if isinstance(mine, dict) and isinstance(theirs, dict):
        found = [f"{path}.{name}" for name in mine.keys() - theirs.keys()]
        return found + [
            s for name in mine.keys() & theirs.keys() for s in strays(mine[name], theirs[name], f"{path}.{name}")
        ]
    return [] if mine == theirs else [f"{path}: {mine} is not {theirs}"]


@pytest.mark.parametrize("operation", CONTRACT, ids=IDS)
def test_answers_have_the_contracts_members_and_types_only(operation: Operation) -> None:
    assert strays(ours(operation.response), read(SHAPES[operation.name]["answer"])) == []


@pytest.mark.parametrize("operation", CONTRACT, ids=IDS)
def test_requests_read_the_contracts_members_and_types_only(operation: Operation) -> None:
    theirs = read(SHAPES[operation.name]["request"]) | {"IotInstanceId": "S"}
    mine = ours(operation.request)
    if operation.name == "CreateProduct":  # the contract sends a word here and answers a number
        theirs["NetType"] = "S"
    assert strays(mine, theirs) == []


@pytest.mark.parametrize("operation", CONTRACT, ids=IDS)
def test_what_the_sdk_sends_in_the_body_is_noted(operation: Operation) -> None:
    marked = [part.partition("†")[0] for part in SHAPES[operation.name]["request"].split(", ") if "†" in part]
    assert list(operation.form) == marked


def test_the_rpc_face_is_the_contracts_actions_of_the_shape_file() -> None:
    assert {operation.name for operation in CONTRACT} == SHAPES.keys() - {"about"}


def test_names_and_routes_are_unique() -> None:
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
    assert len({(operation.rest.method, operation.rest.path) for operation in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.name for operation in OPERATIONS])
def test_a_row_is_consistent(operation: Operation) -> None:
    names = {wire_name(n, f) for n, f in operation.request.model_fields.items()}
    assert set(operation.rest.path_members) <= names
    assert set(operation.rest.defaults) <= names
    assert set(operation.form) <= names
    assert operation.summary.endswith(".")
    if operation.rest.method == "GET":
        assert not operation.write
    if operation.role is Role.READER:
        assert not operation.write
