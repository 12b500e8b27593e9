"""Documents made from the operation table."""

import json
import re
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


@pytest.mark.asyncio(loop_scope="session")
async def test_the_documentation_needs_nothing_from_the_internet(platform: "Platform") -> None:
    page = await platform.http.get("/docs")
    assert page.status_code == 200
    assert "//" not in re.sub(r"<!--.*?-->", "", page.text, flags=re.DOTALL).replace("&#x2F;", "/")
    named = dict.fromkeys(re.findall(r"""(?:src|href)="([^"]+)\"""", page.text))
    types = {}
    for path in named:
        answer = await platform.http.get(path)
        assert (answer.status_code, len(answer.content) > 100) == (200, True), path
        types[path.rpartition(".")[2]] = answer.headers["content-type"].partition(";")[0]
    assert types == {"js": "text/javascript", "css": "text/css", "png": "image/png"}
    assert "url: '/openapi.json'" in page.text


@pytest.mark.asyncio(loop_scope="session")
async def test_the_documentation_can_read_the_document(platform: "Platform") -> None:
    """OpenAPI 3.1 needs Swagger UI 5."""
    script = (await platform.http.get("/docs/swagger-ui-bundle.js")).text
    version = re.search(r'PACKAGE_VERSION:"(\d+)\.', script)
    assert version is not None
    assert int(version[1]) >= 5
    assert openapi.document(OPERATIONS)["openapi"] == "3.1.0"


def test_every_reference_inside_the_document_resolves() -> None:
    document: Any = openapi.document(OPERATIONS)
    text = json.dumps(document)
    names = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names <= document["components"]["schemas"].keys()
