"""The audit log over gRPC, `thinghubpb.auth.v1.AuditService`."""

from typing import TypeAlias

import grpc

from thinghub.auth.domain.audit import AuditedCall, AuditQuery, AuditRecord
from thinghub.auth.service.audit import AuditLog
from thinghubpb.auth.v1 import audit_pb2 as pb
from thinghubpb.auth.v1 import audit_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class AuditRpc(audit_pb2_grpc.AuditServiceServicer):
    """Implements thinghubpb.auth.v1.AuditService."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    async def BeginAudit(self, request: pb.BeginAuditRequest, context: Context) -> pb.BeginAuditResponse:
        return pb.BeginAuditResponse(record_id=await self._audit.begin(_call(request.call)))

    async def FinishAudit(self, request: pb.FinishAuditRequest, context: Context) -> pb.FinishAuditResponse:
        await self._audit.finish(request.record_id, request.code, dict(request.made))
        return pb.FinishAuditResponse()

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: Context
    ) -> pb.ListAuditRecordsResponse:
        query = AuditQuery(
            request.before,
            request.limit,
            request.instance_id,
            request.access_key_id,
            request.action,
            request.product_key,
            request.device_name,
            request.code,
            request.from_ms,
            request.until_ms,
        )
        return pb.ListAuditRecordsResponse(records=map(_record_message, await self._audit.list(query)))


def _call(message: pb.AuditCall) -> AuditedCall:
    return AuditedCall(
        message.access_key_id,
        message.instance_id,
        message.action,
        dict(message.target),
        message.request_id,
        message.face,
        message.source_address,
        message.trace_id,
    )


def _record_message(record: AuditRecord) -> pb.AuditRecord:
    call = record.call
    return pb.AuditRecord(
        record_id=record.record_id,
        time_ms=record.time_ms,
        code=record.code,
        finished_ms=record.finished_ms,
        call=pb.AuditCall(
            access_key_id=call.access_key_id,
            instance_id=call.instance_id,
            action=call.action,
            target=call.target,
            request_id=call.request_id,
            face=call.face,
            source_address=call.source_address,
            trace_id=call.trace_id,
        ),
    )
