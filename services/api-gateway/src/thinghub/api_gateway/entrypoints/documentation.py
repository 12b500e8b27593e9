"""`/docs`: Swagger UI over `/openapi.json`, every part of it served from here: it works without the internet."""

from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import FileResponse, Response

PLACE = "/docs"
SCRIPT, STYLE, ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"
# Taken as files: the package's own code, which rewrites an application, is not run.
PACKAGE = "fastapi_swagger"
CACHED = {"cache-control": "public, max-age=3600"}


def mount(app: FastAPI) -> None:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Thinghub API",
        swagger_js_url=f"{PLACE}/{SCRIPT}",
        swagger_css_url=f"{PLACE}/{STYLE}",
        swagger_favicon_url=f"{PLACE}/{ICON}",
    )

    async def docs(request: Request) -> Response:
        return page

    app.add_route(PLACE, docs, ["GET"], include_in_schema=False)
    for name in (SCRIPT, STYLE, ICON):
        app.add_route(f"{PLACE}/{name}", _file(name), ["GET"], include_in_schema=False)


def _folder() -> Path:
    """Where the files of the package lie; it is found, not imported."""
    found = find_spec(PACKAGE)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "resources"


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    path = _folder() / name

    async def serve(request: Request) -> Response:
        return FileResponse(path, headers=CACHED)

    return serve
