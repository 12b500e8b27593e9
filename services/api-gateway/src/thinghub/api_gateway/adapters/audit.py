"""The audit log, kept by auth, over gRPC."""

from collections.abc import Mapping, Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message
from thinghub.api_gateway.domain.audit import AuditCall, AuditQuery, AuditRecord
from thinghubpb.auth.v1 import audit_pb2 as pb
from thinghubpb.auth.v1.audit_pb2_grpc import AuditServiceStub


class RpcAudit:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._audit = AuditServiceStub(channel)

    async def begin(self, call: AuditCall) -> int:
        answer = await self._audit.BeginAudit(pb.BeginAuditRequest(call=message(pb.AuditCall, call)))
        return answer.record_id

    async def finish(self, record_id: int, code: str, made: Mapping[str, str]) -> None:
        await self._audit.FinishAudit(pb.FinishAuditRequest(record_id=record_id, code=code, made=made))

    async def list(self, query: AuditQuery) -> Sequence[AuditRecord]:
        answer = await self._audit.ListAuditRecords(message(pb.ListAuditRecordsRequest, query))
        return [_record(one) for one in answer.records]


def _record(record: pb.AuditRecord) -> AuditRecord:
    call = record.call
    return AuditRecord(
        record.record_id,
        record.time_ms,
        AuditCall(
            call.access_key_id,
            call.instance_id,
            call.action,
            dict(call.target),
            call.request_id,
            call.face,
            call.source_address,
            call.trace_id,
        ),
        record.code,
        record.finished_ms,
    )
