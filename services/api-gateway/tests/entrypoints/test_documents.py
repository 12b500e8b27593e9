"""Documents made from the operation table."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from thinghub.api_gateway.entrypoints import openapi, reference
from thinghub.api_gateway.service.table import OPERATIONS

if TYPE_CHECKING:
    from conftest import Platform

REPOSITORY = Path(__file__).resolve().parents[4]


def test_the_committed_reference_is_up_to_date() -> None:
    committed = (REPOSITORY / "docs" / "reference" / "operations.md").read_text()
    assert committed == reference.render(OPERATIONS), (
        "run: python -m thinghub.api_gateway.entrypoints.reference docs/reference/operations.md"
    )


def test_every_operation_is_in_the_openapi_document() -> None:
    document: Any = openapi.document(OPERATIONS)
    for operation in OPERATIONS:
        described = document["paths"][operation.rest.path][operation.rest.method.lower()]
        assert described["operationId"] == operation.name
        assert str(operation.rest.status) in described["responses"]


@pytest.mark.asyncio(loop_scope="session")
async def test_the_documents_are_served(platform: "Platform") -> None:
    assert (await platform.http.get("/openapi.json")).json() == openapi.document(OPERATIONS)
    assert (await platform.http.get("/docs")).status_code == 200


def test_every_reference_inside_the_document_resolves() -> None:
    document: Any = openapi.document(OPERATIONS)
    text = json.dumps(document)
    names = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names <= document["components"]["schemas"].keys()
