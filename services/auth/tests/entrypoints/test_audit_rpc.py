"""The audit log through the running service."""

import asyncio
import time
from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.support.auth_service import Auth, StartAuth
from tests.support.servers import PostgresServer
from thinghub.common.errors import RemoteFault
from thinghub.common.rpc import channel
from thinghubpb.auth.v1 import audit_pb2 as pb
from thinghubpb.auth.v1.audit_pb2_grpc import AuditServiceStub

if TYPE_CHECKING:
    from thinghubpb.auth.v1.audit_pb2_grpc import AuditServiceAsyncStub


def stub(auth: Auth) -> "AuditServiceAsyncStub":
    return AuditServiceStub(channel(auth.target))


def call(action: str = "DeleteDevice", device: str = "dev1", key: str = "key1", instance: str = "") -> pb.AuditCall:
    return pb.AuditCall(
        access_key_id=key,
        instance_id=instance,
        action=action,
        target={"ProductKey": "a1pk", "DeviceName": device},
        request_id="R1",
        face="rest",
        source_address="192.0.2.7",
        trace_id="t" * 32,
    )


async def begun(audit: "AuditServiceAsyncStub", **about: str) -> int:
    return (await audit.BeginAudit(pb.BeginAuditRequest(call=call(**about)))).record_id


async def listed(audit: "AuditServiceAsyncStub", **filters: object) -> list[pb.AuditRecord]:
    request = pb.ListAuditRecordsRequest(**filters)  # type: ignore[arg-type]  # one dict for filters of two types
    return list((await audit.ListAuditRecords(request)).records)


async def test_a_record_is_there_before_its_outcome_and_the_first_outcome_stays(auth: Auth) -> None:
    audit = stub(auth)
    before_ms = time.time_ns() // 1_000_000
    record_id = await begun(audit)
    (record,) = await listed(audit)
    assert (record.call, record.code, record.finished_ms) == (call(), "", 0)
    assert record.time_ms >= before_ms
    made = {"IotId": "iot1", "DeviceName": "another"}
    for code in ("OK", "iot.device.NotExistedDevice"):
        await audit.FinishAudit(pb.FinishAuditRequest(record_id=record_id, code=code, made=made))
    (record,) = await listed(audit)
    assert (record.code, record.finished_ms >= record.time_ms) == ("OK", True)
    assert record.call.target == {"ProductKey": "a1pk", "DeviceName": "dev1", "IotId": "iot1"}


async def test_records_are_paged_newest_first_and_found_by_each_filter(auth: Auth) -> None:
    audit = stub(auth)
    ids = [await begun(audit, device=f"dev{number}") for number in range(5)]
    other = await begun(audit, action="StopRule", key="key2", instance="iot-1")
    await audit.FinishAudit(pb.FinishAuditRequest(record_id=other, code="Forbidden.RAM"))
    pages = [[one.record_id for one in await listed(audit, limit=4)]]
    pages.append([one.record_id for one in await listed(audit, limit=4, before=pages[0][-1])])
    assert pages == [[other, *ids[:1:-1]], ids[1::-1]]
    for found in (
        {"action": "StopRule"},
        {"access_key_id": "key2"},
        {"instance_id": "iot-1"},
        {"code": "Forbidden.RAM"},
    ):
        assert [one.record_id for one in await listed(audit, **found)] == [other], found
    assert [one.record_id for one in await listed(audit, product_key="a1pk", device_name="dev3")] == [ids[3]]
    now_ms = time.time_ns() // 1_000_000
    assert len(await listed(audit, from_ms=now_ms - 60_000, until_ms=now_ms + 60_000)) == 6
    assert await listed(audit, until_ms=now_ms - 60_000) == []


async def test_what_is_no_record_or_no_query_is_refused(auth: Auth) -> None:
    audit = stub(auth)
    large = call()
    large.target["ProductKey"] = "x" * 5000
    for bad in (pb.AuditCall(action="StopRule"), pb.AuditCall(access_key_id="k"), large):
        with pytest.raises(RemoteFault) as refused:
            await audit.BeginAudit(pb.BeginAuditRequest(call=bad))
        assert refused.value.kind == "InvalidArgument"
    for query in ({"limit": 501}, {"action": "x" * 300}, {"action": "\0"}):
        with pytest.raises(RemoteFault) as refused:
            await listed(audit, **query)
        assert refused.value.kind == "InvalidArgument"


async def test_without_postgresql_a_call_is_told_that_it_is_not_recorded(
    start_auth: StartAuth, private_postgres: PostgresServer
) -> None:
    audit = stub(await start_auth(postgres_dsn=private_postgres.dsn))
    kept = await begun(audit)
    private_postgres.kill()
    with pytest.raises(RemoteFault) as refused:
        await begun(audit)
    assert refused.value.remote_reason == "store_unavailable"
    private_postgres.start()
    async with asyncio.timeout(20):
        while True:
            try:
                assert [one.record_id for one in await listed(audit)] == [kept], "a record that was answered for stays"
                return
            except RemoteFault:
                await asyncio.sleep(0.1)


async def test_records_end_after_their_days(start_auth: StartAuth) -> None:
    auth = await start_auth(audit_purge_seconds=0.1, audit_days=30)
    audit = stub(auth)
    old, young = await begun(audit), await begun(audit)
    connection = await asyncpg.connect(auth.settings.postgres_dsn)
    try:
        schema, past = auth.settings.postgres_schema, time.time_ns() // 1_000_000 - 31 * 86_400_000
        await connection.execute(f"UPDATE {schema}.audit_record SET time_ms = $1 WHERE record_id = $2", past, old)
    finally:
        await connection.close()
    async with asyncio.timeout(20):
        while [one.record_id for one in await listed(audit)] != [young]:
            await asyncio.sleep(0.05)
