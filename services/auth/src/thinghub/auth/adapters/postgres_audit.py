"""The audit log in PostgreSQL. A record that is answered for is on disk: commits here are never asynchronous."""

from collections.abc import Mapping, Sequence

import asyncpg
import orjson

from thinghub.auth.adapters.postgres import connected
from thinghub.auth.domain.audit import DEVICE, PRODUCT, AuditedCall, AuditQuery, AuditRecord
from thinghub.common.postgres import Postgres

_BEGIN = """
INSERT INTO audit_record
    (time_ms, access_key_id, instance_id, action, target, request_id, face, source_address, trace_id)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9) RETURNING record_id
"""

_FINISH = """
UPDATE audit_record SET code = $2, target = $3::jsonb || target, finished_ms = $4
WHERE record_id = $1 AND finished_ms = 0
"""

_FILTERS = (
    ("record_id <", "before"),
    ("instance_id =", "instance_id"),
    ("access_key_id =", "access_key_id"),
    ("action =", "action"),
    (f"target ->> '{PRODUCT}' =", "product_key"),
    (f"target ->> '{DEVICE}' =", "device_name"),
    ("code =", "code"),
    ("time_ms >=", "from_ms"),
    ("time_ms <", "until_ms"),
)
"""A condition, and the member of `AuditQuery` that it compares with. Only those given become part of the statement, so
that the planner sees which index helps."""

_PURGE = """
DELETE FROM audit_record WHERE record_id IN
    (SELECT record_id FROM audit_record WHERE time_ms < $1 ORDER BY time_ms LIMIT $2 FOR UPDATE SKIP LOCKED)
"""


class PostgresAuditRecords:
    """Implements `AuditRecords`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def begin(self, call: AuditedCall, time_ms: int) -> int:
        who = (call.access_key_id, call.instance_id, call.action, _json(call.target))
        where = (call.request_id, call.face, call.source_address, call.trace_id)
        async with connected(self._postgres) as connection:
            return int(await connection.fetchval(_BEGIN, time_ms, *who, *where))

    async def finish(self, record_id: int, code: str, made: Mapping[str, str], time_ms: int) -> None:
        async with connected(self._postgres) as connection:
            await connection.execute(_FINISH, record_id, code, _json(made), time_ms)

    async def list(self, query: AuditQuery) -> Sequence[AuditRecord]:
        given = [(condition, value) for condition, name in _FILTERS if (value := getattr(query, name))]
        where = " AND ".join(f"{condition} ${number}" for number, (condition, _) in enumerate(given, 2))
        statement = f"SELECT * FROM audit_record WHERE {where or 'true'} ORDER BY record_id DESC LIMIT $1"
        async with connected(self._postgres) as connection:
            rows = await connection.fetch(statement, query.limit, *(value for _, value in given))
        return [_record(row) for row in rows]

    async def purge(self, before_ms: int, limit: int) -> int:
        async with connected(self._postgres) as connection:
            status = await connection.execute(_PURGE, before_ms, limit)
        return int(status.rpartition(" ")[2])


def _json(target: Mapping[str, str]) -> str:
    return orjson.dumps(dict(target)).decode()


def _record(row: asyncpg.Record) -> AuditRecord:
    call = AuditedCall(
        row["access_key_id"],
        row["instance_id"],
        row["action"],
        orjson.loads(row["target"]),
        row["request_id"],
        row["face"],
        row["source_address"],
        row["trace_id"],
    )
    return AuditRecord(row["record_id"], row["time_ms"], call, row["code"], row["finished_ms"])
