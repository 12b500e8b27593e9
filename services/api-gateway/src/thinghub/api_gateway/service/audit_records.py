"""The audit log, read. REST only; the public contract has no such action."""

from pydantic import Field

from thinghub.api_gateway.domain.audit import AuditQuery, AuditRecord
from thinghub.api_gateway.domain.times import utc
from thinghub.api_gateway.domain.values import Role
from thinghub.api_gateway.service.model import Members, Request, Response, Text
from thinghub.api_gateway.service.operation import Call, Operation, Rest

MAX_MS = 2**53


class ListAuditRecordsRequest(Request):
    """Newest first; filters that are absent match everything."""

    before: int = Field(0, ge=0, le=2**63 - 1, description="NextBefore of the page before; absent from the newest.")
    limit: int = Field(100, ge=1, le=500)
    access_key_id: Text = ""
    action: Text = ""
    product_key: Text = ""
    device_name: Text = ""
    code: Text = Field("", description="OK, or a public code.")
    from_ms: int = Field(0, ge=0, le=MAX_MS)
    until_ms: int = Field(0, ge=0, le=MAX_MS, description="Exclusive.")


class AuditRecordInfo(Members):
    record_id: int
    utc_time: str | None
    access_key_id: str
    instance_id: str = Field(description="Instance the call acted in; empty for every instance.")
    action: str
    target: dict[str, str] = Field(description="What it acted on and what it made, by member name.")
    code: str | None = Field(None, description="OK or the public code; absent for a call that was cut off.")
    milliseconds: int | None = Field(None, description="From the record to the outcome.")
    request_id: str
    face: str
    source_address: str
    trace_id: str | None = None


class ListAuditRecordsResponse(Response):
    records: list[AuditRecordInfo]
    next_before: int | None = Field(None, description="Absent on the last page.")


async def list_audit_records(call: Call, request: ListAuditRecordsRequest) -> ListAuditRecordsResponse:
    records = await call.owners.audit.list(
        AuditQuery(
            before=request.before,
            limit=request.limit,
            instance_id=call.instance_id,
            access_key_id=request.access_key_id,
            action=request.action,
            product_key=request.product_key,
            device_name=request.device_name,
            code=request.code,
            from_ms=request.from_ms,
            until_ms=request.until_ms,
        )
    )
    return ListAuditRecordsResponse(
        records=[_info(record) for record in records],
        next_before=records[-1].record_id if len(records) == request.limit else None,
    )


def _info(record: AuditRecord) -> AuditRecordInfo:
    call = record.call
    return AuditRecordInfo(
        record_id=record.record_id,
        utc_time=utc(record.time_ms),
        access_key_id=call.access_key_id,
        instance_id=call.instance_id,
        action=call.action,
        target=dict(call.target),
        code=record.code or None,
        milliseconds=max(0, record.finished_ms - record.time_ms) if record.finished_ms else None,
        request_id=call.request_id,
        face=call.face,
        source_address=call.source_address,
        trace_id=call.trace_id or None,
    )


OPERATIONS = (
    Operation(
        "ListAuditRecords", "Administration", Role.ADMINISTRATOR, False, ListAuditRecordsRequest,
        ListAuditRecordsResponse, list_audit_records, Rest("GET", "/v1/audit-records"),
        "Lists who changed what by the API, newest first.", rpc=False,
        note="Every call that changes something is recorded before it is performed and completed with its outcome; "
        "Pub and RRpc are not. A key that is bound to an instance sees the records of that instance.",
    ),
)  # fmt: skip
