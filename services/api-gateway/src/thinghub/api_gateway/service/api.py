"""Performs operations: role, instance, deadline, and faults turned into refusals. Both faces call this."""

import asyncio
import logging
import time
from collections.abc import Mapping

from pydantic import ValidationError

from thinghub.api_gateway.domain.audit import Origin
from thinghub.api_gateway.domain.values import Caller
from thinghub.api_gateway.errors import (
    SERVICE_UNAVAILABLE,
    SYSTEM_EXCEPTION,
    Refused,
    invalid,
    missing,
    refused_by_owner,
)
from thinghub.api_gateway.service.auditing import Auditor, outcome
from thinghub.api_gateway.service.model import Request, Response
from thinghub.api_gateway.service.operation import Call, Operation, Owners
from thinghub.common.errors import Fault

CALL_SECONDS = 15.0
log = logging.getLogger(__name__)


class Api:
    def __init__(self, owners: Owners, call_seconds: float = CALL_SECONDS) -> None:
        self.owners = owners
        self._call_seconds = call_seconds
        self._auditor = Auditor(owners.audit, time.monotonic)

    async def perform(self, operation: Operation, caller: Caller, request: Request, origin: Origin) -> Response:
        """The operation's answer, recorded where it changes something. Raises Refused, and nothing else."""
        instance_id = caller.instance_id or request.iot_instance_id
        trail = await self._auditor.begin(operation, caller, instance_id, request, origin)
        if trail is None:
            return await self._perform(operation, caller, request)
        try:
            response = await self._perform(operation, caller, request)
        except Refused as refused:
            await trail.end(refused.code)
            raise
        await trail.end(outcome(response), response)
        return response

    async def _perform(self, operation: Operation, caller: Caller, request: Request) -> Response:
        authorize(operation, caller)
        call = Call(self.owners, caller, instance_of(caller, request.iot_instance_id))
        try:
            async with asyncio.timeout(self._call_seconds):
                return await operation.run(call, request)
        except Fault as fault:
            raise refused_by_owner(fault, operation.codes) from fault
        except TimeoutError as error:
            raise Refused(SERVICE_UNAVAILABLE, "The platform did not answer in time; try again.") from error
        except Refused:
            raise
        except Exception as error:
            log.exception("operation failed", extra={"operation": operation.name})
            raise Refused(SYSTEM_EXCEPTION, "The platform could not perform the call.") from error


def authorize(operation: Operation, caller: Caller) -> None:
    """Raises Refused (Forbidden.RAM) when the caller's role or binding does not reach."""
    if caller.role < operation.role:
        raise Refused("Forbidden.RAM", f"{operation.name} needs the role {operation.role.name.lower()}.")
    if operation.unbound and caller.instance_id:
        raise Refused("Forbidden.RAM", f"{operation.name} needs an access key that is not bound to an instance.")


def instance_of(caller: Caller, asked: str) -> str:
    """The instance to act in. Raises Refused (Forbidden.RAM) when a bound key asks for another."""
    if caller.instance_id and asked and asked != caller.instance_id:
        raise Refused("Forbidden.RAM", "The access key is bound to another instance.")
    return caller.instance_id or asked


def read_request(operation: Operation, members: Mapping[str, object]) -> Request:
    """The typed request. Raises Refused naming the first member that is missing or mistyped."""
    try:
        return operation.request.model_validate(members, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        location = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            raise missing(location) from None
        raise invalid(location, first["msg"].removeprefix("Value error, ").rstrip(".")) from None
