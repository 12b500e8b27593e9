"""What moves jobs on, in PostgreSQL. Several processes may do it: rows under way are passed over."""

from collections.abc import Sequence

from thinghub.common.postgres import Postgres
from thinghub.ota.adapters import rows
from thinghub.ota.adapters.postgres import LONG_S, announce, connected
from thinghub.ota.adapters.postgres_tasks import add_tasks, ended
from thinghub.ota.domain import announcements
from thinghub.ota.domain.models import Due, Target
from thinghub.ota.ports.store import Expansion

_BEGIN = f"""
UPDATE job SET status = 'IN_PROGRESS', started_ms = $1, modified_ms = $1
WHERE status = 'PLANNED' AND NOT cancel_asked AND scheduled_ms <= $1 RETURNING {rows.JOB}
"""
_TO_EXPAND = f"SELECT {rows.JOB}, cursor FROM job WHERE status = 'IN_PROGRESS' AND NOT expanded ORDER BY job_id LIMIT 1"
_EXPANDED = """
UPDATE job SET cursor = $3, expanded = $3 = '' WHERE job_id = $1 AND cursor = $2 AND NOT expanded RETURNING 1
"""
_CLAIM = f"""
UPDATE task SET push_ms = $2 WHERE (product_key, device_name, job_id) IN (
    SELECT product_key, device_name, job_id FROM task WHERE push_ms <= $1 AND status IN {rows.OPEN}
    ORDER BY push_ms LIMIT $3 FOR UPDATE SKIP LOCKED
) RETURNING {rows.TASK}
"""
PUSHED = f"""
UPDATE task SET status = CASE WHEN status = 'QUEUED' THEN 'NOTIFIED' ELSE status END,
    push_ms = CASE WHEN push_ms = $2 THEN NULL ELSE push_ms END,
    deadline_ms = CASE WHEN timeout_minutes > 0 THEN coalesce(deadline_ms, $3 + timeout_minutes * 60000::bigint) END,
    modified_ms = CASE WHEN status = 'QUEUED' THEN $3 ELSE modified_ms END
WHERE task_id = ANY($1::text[]) AND status IN {rows.OPEN}
"""
_EXPIRE = f"""
UPDATE task SET status = 'FAILED', description = 'not finished in time', push_ms = NULL, deadline_ms = NULL,
    modified_ms = $1
WHERE (product_key, device_name, job_id) IN (
    SELECT product_key, device_name, job_id FROM task WHERE deadline_ms <= $1 AND status IN {rows.OPEN}
    ORDER BY product_key, device_name LIMIT $2 FOR UPDATE SKIP LOCKED
) RETURNING {rows.TASK}
"""
_SETTLE = f"""
UPDATE job j SET status = CASE WHEN cancel_asked THEN 'CANCELED' ELSE 'COMPLETED' END, ended_ms = $1, modified_ms = $1
WHERE j.expanded AND (j.status = 'IN_PROGRESS' OR j.status = 'PLANNED' AND j.cancel_asked)
AND NOT EXISTS (SELECT 1 FROM task t WHERE t.job_id = j.job_id AND t.status IN {rows.OPEN})
RETURNING {rows.JOB}
"""


class PostgresRollout:
    """Implements `Rollout`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def begin(self, now_ms: int) -> int:
        return await self._jobs(_BEGIN, now_ms)

    async def settle(self, now_ms: int) -> int:
        return await self._jobs(_SETTLE, now_ms)

    async def _jobs(self, statement: str, now_ms: int) -> int:
        async with connected(self._postgres) as connection:
            changed = await connection.fetch(statement, now_ms)
            await announce(connection, [announcements.job(rows.job(row)) for row in changed])
        return len(changed)

    async def to_expand(self) -> Expansion | None:
        async with connected(self._postgres) as connection:
            row = await connection.fetchrow(_TO_EXPAND)
        return Expansion(rows.job(row), row["cursor"]) if row else None

    async def expand(self, expansion: Expansion, targets: Sequence[Target], cursor: str, now_ms: int) -> None:
        async with connected(self._postgres, LONG_S) as connection:
            mine = await connection.fetchval(_EXPANDED, expansion.job.job_id, expansion.cursor, cursor)
            if mine and targets:
                await add_tasks(connection, expansion.job, targets, now_ms)

    async def claim(self, now_ms: int, until_ms: int, limit: int) -> Sequence[Due]:
        async with connected(self._postgres) as connection:
            tasks = [rows.task(row) for row in await connection.fetch(_CLAIM, now_ms, until_ms, limit)]
            found = await connection.fetch(
                f"SELECT {rows.FIRMWARE} FROM firmware WHERE firmware_id = ANY($1::text[])",
                list({task.firmware_id for task in tasks}),
            )
        firmware = {row["firmware_id"]: rows.firmware(row) for row in found}
        return [Due(task, firmware[task.firmware_id], until_ms) for task in tasks]

    async def pushed(self, due: Sequence[Due], now_ms: int) -> None:
        if due:
            async with connected(self._postgres) as connection:
                await connection.execute(PUSHED, [one.task.task_id for one in due], due[0].claimed_ms, now_ms)

    async def push_later(self, due: Sequence[Due], at_ms: int | None) -> None:
        statement = "UPDATE task SET push_ms = $3 WHERE task_id = ANY($1::text[]) AND push_ms = $2"
        if due:
            async with connected(self._postgres) as connection:
                await connection.execute(statement, [one.task.task_id for one in due], due[0].claimed_ms, at_ms)

    async def expire(self, now_ms: int, limit: int) -> int:
        async with connected(self._postgres) as connection:
            failed = [rows.task(row) for row in await connection.fetch(_EXPIRE, now_ms, limit)]
            await ended(connection, failed)
        return len(failed)
