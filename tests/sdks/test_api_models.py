"""Every operation of the public contract has the names and types of the vendor's own models, in both directions.

The typed SDKs (Java, Go, C#) are made from the same models as the Python one: where a name differs they lose the
member, where a type differs they fail.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.sdks.driver import command
from thinghub.api_gateway.service.model import REST_ONLY, Members
from thinghub.api_gateway.service.operation import Operation
from thinghub.api_gateway.service.table import OPERATIONS

PUBLIC = [operation for operation in OPERATIONS if operation.rpc]
KINDS = {"string": "str", "integer": "int", "boolean": "bool", "number": "float"}


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    printed = subprocess.run(command("api_models"), capture_output=True, check=True, timeout=60).stdout
    known: dict[str, Any] = json.loads(printed)
    return known


@pytest.mark.parametrize("operation", PUBLIC, ids=lambda operation: operation.name)
def test_an_operation_is_the_vendors(operation: Operation, theirs: dict[str, Any]) -> None:
    known = theirs[operation.name]
    assert not list(differences(shape(operation.request), known["request"], ""))
    assert not list(differences(shape(operation.response), known["answer"], ""))


def shape(model: type[Members]) -> Any:
    """As the script gives it for the SDK's models; without what only the REST face has."""
    schema = model.model_json_schema(by_alias=True, mode="serialization")
    return _shape(schema, schema.get("$defs", {}))


def _shape(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _shape(parts[schema["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in schema:
        return _shape(next(part for part in schema["anyOf"] if part.get("type") != "null"), parts)
    if schema["type"] == "array":
        return [_shape(schema["items"], parts)]
    if schema["type"] == "object":
        members = schema.get("properties", {}).items()
        return {name: _shape(member, parts) for name, member in members if not member.keys() >= REST_ONLY.keys()}
    return KINDS[schema["type"]]


def differences(ours: Any, known: Any, path: str) -> Iterator[str]:
    """What of ours has no name or another type there."""
    if isinstance(ours, dict) and isinstance(known, dict):
        for name, member in ours.items():
            if name in known:
                yield from differences(member, known[name], f"{path}.{name}")
            else:
                yield f"{path}.{name} is unknown"
    elif isinstance(ours, list) and isinstance(known, list):
        yield from differences(ours[0], known[0], f"{path}[]")
    elif ours != known:
        yield f"{path} is {ours}, theirs {known}"
