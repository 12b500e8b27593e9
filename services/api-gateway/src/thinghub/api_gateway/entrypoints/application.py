"""The HTTP application: both faces, their documents, and the process's health on the API port."""

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from thinghub.api_gateway.entrypoints import documentation, openapi, rest
from thinghub.api_gateway.entrypoints.http import new_request_id
from thinghub.api_gateway.entrypoints.observer import Observer
from thinghub.api_gateway.entrypoints.rpc_style import RpcStyle
from thinghub.api_gateway.errors import SYSTEM_EXCEPTION, Refused
from thinghub.api_gateway.service.api import Api
from thinghub.api_gateway.service.operation import Operation
from thinghub.common.health import Health
from thinghub.common.runtime import Runtime

STATUS_CODES = {404: "NotFound", 405: "UnsupportedHTTPMethod"}


def application(
    api: Api, operations: tuple[Operation, ...], runtime: Runtime, host_id: str = "", trust_traceparent: bool = False
) -> FastAPI:
    """The ASGI application. `/docs` and `/openapi.json` come from the operation table."""
    observer = Observer(runtime, trust_traceparent)
    app = FastAPI(title="Thinghub", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    document = openapi.document(operations)
    app.openapi = lambda: document  # type: ignore[method-assign]  # FastAPI's own way to give another document
    app.add_route("/", RpcStyle(api, operations, observer, host_id).respond, ["GET", "POST"], include_in_schema=False)
    rest.mount(app, api, operations, observer)
    documentation.mount(app)
    _mount_health(app, runtime.health)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _defect)
    return app


def _mount_health(app: FastAPI, health: Health) -> None:
    async def healthz(request: Request) -> Response:
        return JSONResponse({"ok": True})

    async def readyz(request: Request) -> Response:
        return JSONResponse(health.report(), 200 if health.ready() else 503)

    app.add_route("/healthz", healthz, ["GET"], include_in_schema=False)
    app.add_route("/readyz", readyz, ["GET"], include_in_schema=False)


async def _no_route(request: Request, problem: Exception) -> Response:
    status = problem.status_code if isinstance(problem, HTTPException) else 404
    code = STATUS_CODES.get(status, "NotFound")
    return rest.error(Refused(code, f"There is no {request.method} {request.url.path[:200]} here."), new_request_id())


async def _defect(request: Request, problem: Exception) -> Response:
    """The last resort; the server logs the exception itself."""
    return rest.error(Refused(SYSTEM_EXCEPTION, "The platform could not perform the call."), new_request_id())
