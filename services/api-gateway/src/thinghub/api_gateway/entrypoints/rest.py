"""The REST face under /v1: routes made from the operation table.

Authenticated by HTTP Basic with an access key, or by a bearer token. Members named in the path come from it, the others
from the query (GET, DELETE) or a JSON object (POST, PUT), under the names of the public contract. An error is
`{"code", "message", "request_id", ...}` with a real HTTP status.
"""

import base64
import binascii
from collections.abc import Mapping

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from thinghub.api_gateway.domain.audit import Origin
from thinghub.api_gateway.domain.encoding import decode_form
from thinghub.api_gateway.domain.values import Caller
from thinghub.api_gateway.entrypoints.http import header_text, media_type, new_request_id, read_body, source_address
from thinghub.api_gateway.entrypoints.observer import Observation, Observer
from thinghub.api_gateway.errors import Refused, invalid, refused_by_owner
from thinghub.api_gateway.service.api import Api, read_request
from thinghub.api_gateway.service.operation import Operation
from thinghub.common.errors import Fault

IN_BODY = ("POST", "PUT")


def mount(app: Starlette, api: Api, operations: tuple[Operation, ...], observer: Observer) -> None:
    for operation in operations:
        endpoint = _Endpoint(api, operation, observer)
        app.add_route(operation.rest.path, endpoint.respond, [operation.rest.method], include_in_schema=False)


class _Endpoint:
    """One operation."""

    def __init__(self, api: Api, operation: Operation, observer: Observer) -> None:
        self._api = api
        self._operation = operation
        self._observer = observer

    async def respond(self, request: Request) -> Response:
        request_id = new_request_id()
        headers = header_text(request)
        try:
            with self._observer.call("rest", headers.get("traceparent", "")) as seen:
                seen.action = self._operation.name
                return await self._perform(request, headers, request_id, seen)
        except Refused as refused:
            return error(refused, request_id)

    async def _perform(
        self, request: Request, headers: Mapping[str, str], request_id: str, seen: Observation
    ) -> Response:
        operation = self._operation
        caller = await authenticate(self._api, headers.get("authorization", ""))
        members = await _members(request, headers, operation)
        origin = Origin(request_id, "rest", source_address(request))
        response = await self._api.perform(operation, caller, read_request(operation, members), origin)
        if response.failure:
            seen.outcome = "refused"
        body = response.model_dump(mode="json", by_alias=True, exclude_none=True)
        return _json(body, operation.rest.status, request_id)


async def _members(request: Request, headers: Mapping[str, str], operation: Operation) -> dict[str, object]:
    query: dict[str, object] = dict(decode_form(request.scope["query_string"], "query string"))
    body = await read_body(request, headers)
    given: dict[str, object] = query
    if operation.rest.method in IN_BODY:
        if query:
            raise invalid(next(iter(query)), "it belongs into the body")
        given = _object(body, headers) if body else {}
    elif body:
        raise Refused("InvalidParameter", f"{operation.rest.method} takes no body.")
    path = {name: str(request.path_params[name]) for name in operation.rest.path_members}
    for name in path.keys() & given.keys():
        if str(given[name]) != path[name]:
            raise invalid(name, "the path says something else")
    return {**operation.rest.defaults, **given, **path}


def _object(body: bytes, headers: Mapping[str, str]) -> dict[str, object]:
    if media_type(headers) not in ("", "application/json"):
        raise Refused("UnsupportedMediaType", "A body is sent as application/json.")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise Refused("InvalidParameter", f"The body is not JSON: {problem}.") from None
    if not isinstance(value, dict):
        raise Refused("InvalidParameter", "The body is not a JSON object.")
    return value


async def authenticate(api: Api, authorization: str) -> Caller:
    """Raises Refused (Unauthorized) for anything but good Basic or bearer credentials."""
    scheme, _, proof = authorization.strip().partition(" ")
    try:
        if scheme.lower() == "basic":
            return await api.owners.callers.by_basic(*_basic(proof.strip()))
        if scheme.lower() == "bearer" and proof.strip():
            return await api.owners.callers.by_token(proof.strip())
    except Fault as fault:
        refused = refused_by_owner(fault)
        if refused.status >= 500:
            raise refused from fault
        raise Refused("Unauthorized", "The access key or the token is not valid.") from fault
    raise Refused("Unauthorized", "Authenticate with HTTP Basic (access key) or a bearer token.")


def _basic(proof: str) -> tuple[str, str]:
    try:
        key, colon, secret = base64.b64decode(proof, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as problem:
        raise Refused("Unauthorized", "The Basic credentials are malformed.") from problem
    if not colon or not key or "\0" in key + secret:
        raise Refused("Unauthorized", "The Basic credentials are malformed.")
    return key, secret


def error(refused: Refused, request_id: str) -> Response:
    body = {"code": refused.code, "message": refused.message, "request_id": request_id} | refused.details
    response = _json(body, refused.status, request_id)
    if refused.status == 401:
        response.headers["www-authenticate"] = 'Basic realm="thinghub", charset="UTF-8"'
    return response


def _json(body: Mapping[str, object], status: int, request_id: str) -> Response:
    headers = {"content-type": "application/json", "x-request-id": request_id, "cache-control": "no-store"}
    return Response(orjson.dumps(body), status, headers)
