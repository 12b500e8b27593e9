"""The RPC-style face: path `/`, GET or POST, every operation of the public contract (open-api.md §1-§3).

    read -> parse -> format -> action -> signature checked by auth -> members typed -> performed -> answered

A business refusal is HTTP 200 with `Success: false`; a gateway refusal is HTTP 4xx or 5xx with `HostId`, `Recommend`.
Whatever comes in, an answer of one of the two shapes goes out.
"""

from collections.abc import Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response

from thinghub.api_gateway.domain.audit import Origin
from thinghub.api_gateway.domain.encoding import decode_form, merge
from thinghub.api_gateway.domain.parameters import nest
from thinghub.api_gateway.domain.values import Caller
from thinghub.api_gateway.entrypoints import xml
from thinghub.api_gateway.entrypoints.http import header_text, media_type, new_request_id, read_body, source_address
from thinghub.api_gateway.entrypoints.observer import Observation, Observer
from thinghub.api_gateway.entrypoints.signed_request import (
    WireRequest,
    action_of,
    answer_format,
    is_acs3,
    signature_of,
)
from thinghub.api_gateway.errors import Refused, refused_by_owner
from thinghub.api_gateway.service import model
from thinghub.api_gateway.service.api import Api, read_request
from thinghub.api_gateway.service.operation import Operation
from thinghub.common.errors import Fault

FORM = "application/x-www-form-urlencoded"
JSON_TYPE = "application/json;charset=utf-8"
XML_TYPE = "text/xml;charset=utf-8"
MAX_ECHO = 4096


class RpcStyle:
    def __init__(self, api: Api, operations: tuple[Operation, ...], observer: Observer, host_id: str = "") -> None:
        self._api = api
        self._operations = {operation.name: operation for operation in operations if operation.rpc}
        self._observer = observer
        self._host_id = host_id

    async def respond(self, request: Request) -> Response:
        request_id = new_request_id()
        headers = header_text(request)
        answer = _Answer(request_id, "json" if is_acs3(headers) else "xml")
        try:
            with self._observer.call("rpc", headers.get("traceparent", "")) as seen:
                return await self._answer(request, headers, answer, seen)
        except Refused as refused:
            if refused.business:
                return answer.business(refused)
            return answer.gateway(refused, self._host_id or headers.get("host", ""), request.url.scheme)

    async def _answer(
        self, request: Request, headers: Mapping[str, str], answer: "_Answer", seen: Observation
    ) -> Response:
        wire = await read_wire(request, headers)
        answer.form = answer_format(headers, wire.parameters)
        operation = self._operation(action_of(wire))
        seen.action = answer.action = operation.name
        caller = await self._caller(wire)
        typed = read_request(operation, nest(wire.parameters, operation.shape))
        origin = Origin(answer.request_id, "rpc", source_address(request))
        response = await self._api.perform(operation, caller, typed, origin)
        if response.failure:
            seen.outcome = "refused"
        return answer.success(response)

    def _operation(self, action: str) -> Operation:
        operation = self._operations.get(action)
        if operation is None:
            raise Refused("InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
        return operation

    async def _caller(self, wire: WireRequest) -> Caller:
        signature = signature_of(wire)
        try:
            return await self._api.owners.callers.by_signature(signature)
        except Fault as fault:
            refused = refused_by_owner(fault)
            if refused.code == "SignatureDoesNotMatch":
                raise Refused(refused.code, _mismatch(signature.string_to_sign)) from fault
            raise refused from fault


async def read_wire(request: Request, headers: Mapping[str, str]) -> WireRequest:
    """Raises Refused for a body that is too large or no form, and for parameters that are malformed or given twice."""
    body = await read_body(request, headers)
    kind = media_type(headers)
    if body and kind not in ("", FORM):
        raise Refused("UnsupportedMediaType", f"A body is sent as {FORM}.")
    query = decode_form(request.scope["query_string"], "query string")
    return WireRequest(request.method, headers, query, merge(query, decode_form(body, "body")), body)


def _mismatch(string_to_sign: str) -> str:
    """The vendor's sentence: a client may compare its string to sign with ours, which holds only its request."""
    shown = string_to_sign if len(string_to_sign) <= MAX_ECHO else string_to_sign[:MAX_ECHO] + "..."
    return f"Specified signature is not matched with our calculation. server string to sign is:{shown}"


class _Answer:
    """Renders one answer in the form that was asked for. `form` and `action` are set as they become known."""

    def __init__(self, request_id: str, form: str) -> None:
        self.request_id = request_id
        self.form = form
        self.action = ""

    def success(self, response: model.Response) -> Response:
        members = response.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude=set(model.rest_only(type(response)))
        )
        if response.failure is None:
            return self._send(200, {"RequestId": self.request_id, "Success": True, "Code": ""} | members)
        code, message = response.failure
        return self._send(200, self._failure(code, message) | members)

    def business(self, refused: Refused) -> Response:
        return self._send(200, self._failure(refused.code, refused.message))

    def gateway(self, refused: Refused, host: str, scheme: str) -> Response:
        host = host.encode("ascii", "replace").decode()
        members: dict[str, object] = {
            "RequestId": self.request_id,
            "HostId": host,
            "Code": refused.code,
            "Message": refused.message,
            "Recommend": f"{scheme}://{host}/docs",
        }
        return self._send(refused.status, members, root="Error")

    def _failure(self, code: str, message: str) -> dict[str, object]:
        return {"RequestId": self.request_id, "Success": False, "Code": code, "ErrorMessage": message}

    def _send(self, status: int, members: Mapping[str, object], root: str = "") -> Response:
        headers = {"x-acs-request-id": self.request_id}
        if self.form == "xml":
            body = xml.render(root or f"{self.action}Response", members)
            return Response(body, status, headers | {"content-type": XML_TYPE})
        return Response(orjson.dumps(members), status, headers | {"content-type": JSON_TYPE})
