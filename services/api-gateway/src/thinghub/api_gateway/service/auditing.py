"""Every change by the API leaves a record: stored before the call is performed, completed with what became of it.

    begin -> performed -> finish -> answered

Before, so that no change is without a record whatever dies in between; a record without an outcome is of a call that
was cut off. When the log cannot be written: `domain.audit.Recording`. The decision and its alternatives:
docs/decisions/2026-11-23-audit-log.md.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from thinghub.api_gateway.domain.audit import MAX_ADDRESS, OK, AuditCall, Origin, Recording, target_of
from thinghub.api_gateway.domain.values import Caller
from thinghub.api_gateway.errors import SERVICE_UNAVAILABLE, Refused
from thinghub.api_gateway.ports import Audit
from thinghub.api_gateway.service.model import Members, Request, Response, wire_name
from thinghub.api_gateway.service.operation import Operation
from thinghub.common.errors import Fault
from thinghub.common.tracing import current

CHANGE_SECONDS = 3.0
COMMAND_SECONDS = 1.0
FINISH_SECONDS = 2.0
REST_SECONDS = 5.0
UNRECORDED = "The change cannot be recorded in the audit log now, so it was not made; try again."

TRAFFIC = frozenset({"Pub", "RRpc"})
"""Messages to one device: hundreds a second, told by the message log and by traces."""

COMMANDS = frozenset({
    "PubBroadcast", "NotifyAddThingTopo", "SetDeviceProperty", "SetDevicesProperty", "InvokeThingService",
    "InvokeThingsService", "SetDeviceDesiredProperty", "ClearDeviceDesiredProperty", "UpdateDeviceShadow",
})  # fmt: skip
"""What devices are told to do: it works while PostgreSQL is away, and a lock has to open then too."""

log = logging.getLogger("thinghub.audit")


def recording(operation: Operation) -> Recording:
    if not operation.write or operation.name in TRAFFIC:
        return Recording.NEVER
    return Recording.TRY if operation.name in COMMANDS else Recording.MUST


@dataclass(frozen=True, slots=True)
class Trail:
    """The record of one call under way."""

    audit: Audit
    record_id: int
    action: str
    request_id: str

    async def end(self, code: str, response: Response | None = None) -> None:
        """Never raises: the call has been performed, and its answer is owed whether the log hears of it or not."""
        made = target_of(_members(response)) if response else {}
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                await self.audit.finish(self.record_id, code, made)
        except (Fault, TimeoutError):
            known = {"operation": self.action, "record": self.record_id, "code": code, "request_id": self.request_id}
            log.error("the outcome of an API change could not be added to its audit record", extra=known)


class Auditor:
    """`clock` is monotonic seconds; while the log cannot be written, one command in a while tries, and the others do
    not wait."""

    def __init__(self, audit: Audit, clock: Callable[[], float]) -> None:
        self._audit = audit
        self._clock = clock
        self._away = False
        self._rest_until = 0.0

    async def begin(
        self, operation: Operation, caller: Caller, instance_id: str, request: Request, origin: Origin
    ) -> Trail | None:
        """None: this call is not recorded. Raises Refused (ServiceUnavailable) for a change that cannot be recorded."""
        kind = recording(operation)
        if kind is Recording.NEVER:
            return None
        call = _call(operation, caller, instance_id, request, origin)
        return await self._must(call) if kind is Recording.MUST else await self._try(call)

    async def _must(self, call: AuditCall) -> Trail:
        try:
            return await self._begun(call, CHANGE_SECONDS)
        except (Fault, TimeoutError) as error:
            raise Refused(SERVICE_UNAVAILABLE, UNRECORDED) from error

    async def _try(self, call: AuditCall) -> Trail | None:
        if self._away and self._clock() < self._rest_until:
            _tell(call)
            return None
        self._rest_until = self._clock() + REST_SECONDS
        try:
            trail = await self._begun(call, COMMAND_SECONDS)
        except (Fault, TimeoutError):
            self._away = True
            _tell(call)
            return None
        self._away = False
        return trail

    async def _begun(self, call: AuditCall, seconds: float) -> Trail:
        async with asyncio.timeout(seconds):
            return Trail(self._audit, await self._audit.begin(call), call.action, call.request_id)


def _tell(call: AuditCall) -> None:
    """Where the log cannot be written, the process's own log tells what it would hold."""
    log.error(
        "an API command is performed without an audit record",
        extra={
            "operation": call.action,
            "access_key_id": call.access_key_id,
            "request_id": call.request_id,
            "source_address": call.source_address,
            "target": dict(call.target),
        },
    )


def _call(operation: Operation, caller: Caller, instance_id: str, request: Request, origin: Origin) -> AuditCall:
    return AuditCall(
        access_key_id=caller.access_key_id,
        instance_id=instance_id[:256],
        action=operation.name,
        target=target_of(_members(request)),
        request_id=origin.request_id,
        face=origin.face,
        source_address=origin.source_address[:MAX_ADDRESS],
        trace_id=current().trace_id,
    )


def _members(model: Members) -> Iterable[tuple[str, object]]:
    """A model's members by public name; those of objects directly below it too, as an answer's `Data`."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, Members):
            yield from _members(value)
        else:
            yield wire_name(name, field), value


def outcome(response: Response) -> str:
    return response.failure[0] if response.failure else OK
