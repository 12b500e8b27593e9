"""The OpenAPI document of the REST face, from the operation table and the models."""

from collections.abc import Iterable

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from thinghub.api_gateway.entrypoints.rest import IN_BODY
from thinghub.api_gateway.service.model import Members
from thinghub.api_gateway.service.operation import Operation

Json = dict[str, object]
_REF = "#/components/schemas/{model}"


def document(operations: Iterable[Operation]) -> Json:
    rows = tuple(operations)
    schemas = _schemas(rows)
    paths: dict[str, Json] = {}
    for operation in rows:
        paths.setdefault(operation.rest.path, {})[operation.rest.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Thinghub",
            "version": "v1",
            "description": "The REST face. Every operation of the public contract is also there in RPC style at `/`.",
        },
        "paths": paths,
        "components": {
            "schemas": {name: schemas[name] for name in sorted(schemas)} | {"Error": _error()},
            "securitySchemes": {
                "accessKey": {"type": "http", "scheme": "basic"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"accessKey": []}, {"token": []}],
    }


def _schemas(rows: tuple[Operation, ...]) -> dict[str, Json]:
    wanted: list[tuple[type[Members], JsonSchemaMode]] = []
    for request in dict.fromkeys(row.request for row in rows):
        wanted.append((request, "validation"))
    for response in dict.fromkeys(row.response for row in rows):
        wanted.append((response, "serialization"))
    _, top = models_json_schema(wanted, by_alias=True, ref_template=_REF)
    schemas: dict[str, Json] = top["$defs"]
    return schemas


def _operation(operation: Operation, schemas: dict[str, Json]) -> Json:
    needs = f"Needs the role {operation.role.name.lower()}."
    made: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": "\n\n".join(text for text in (operation.note, needs) if text),
        "tags": [operation.group],
        "parameters": _parameters(operation, schemas),
        "responses": {
            str(operation.rest.status): {
                "description": "Done.",
                "content": {"application/json": {"schema": {"$ref": _ref(operation.response)}}},
            },
            "default": {
                "description": "Refused.",
                "content": {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}},
            },
        },
    }
    if operation.rest.method in IN_BODY:
        made["requestBody"] = {"content": {"application/json": {"schema": _body(operation, schemas)}}}
    return made


def _parameters(operation: Operation, schemas: dict[str, Json]) -> list[Json]:
    in_path = operation.rest.path_members
    properties, required = _members(operation, schemas)
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": properties[name]} for name in in_path
    ]
    if operation.rest.method not in IN_BODY:
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": schema}
            for name, schema in properties.items()
            if name not in in_path
        ]
    return parameters


def _body(operation: Operation, schemas: dict[str, Json]) -> Json:
    properties, required = _members(operation, schemas)
    in_path = operation.rest.path_members
    return {
        "type": "object",
        "properties": {name: schema for name, schema in properties.items() if name not in in_path},
        "required": [name for name in required if name not in in_path],
    }


def _members(operation: Operation, schemas: dict[str, Json]) -> tuple[dict[str, Json], list[str]]:
    schema = schemas[operation.request.__name__]
    properties, required = schema["properties"], schema.get("required", [])
    assert isinstance(properties, dict)
    assert isinstance(required, list)
    return properties, required


def _ref(model: type[Members]) -> str:
    return _REF.format(model=model.__name__)


def _error() -> Json:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["code", "message", "request_id"],
        "properties": {"code": text, "message": text, "request_id": text, "parameter": text, "position": text},
    }
