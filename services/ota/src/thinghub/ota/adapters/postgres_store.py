"""Uploads, firmware and jobs in PostgreSQL."""

from collections.abc import Sequence

import asyncpg

from thinghub.common.postgres import Postgres
from thinghub.ota.adapters import rows
from thinghub.ota.adapters.postgres import LONG_S, announce, connected
from thinghub.ota.adapters.postgres_tasks import add_tasks, ended
from thinghub.ota.domain import announcements
from thinghub.ota.domain.models import Firmware, Job, Package, Selection, Target, TaskStatus
from thinghub.ota.ports.store import TaskFilter, TaskPage, Upload

CANCEL_AT_ONCE = 1000

_FIND_UPLOAD = """
SELECT u.*, EXISTS (SELECT 1 FROM firmware f WHERE f.key = u.key) AS taken FROM upload u WHERE u.key = $1
"""
_STORED = """
UPDATE upload u SET size = $2, md5 = $3, sha256 = $4, stored_ms = $5
WHERE u.key = $1 AND NOT EXISTS (SELECT 1 FROM firmware f WHERE f.key = u.key)
"""
# Both sides lock the upload's row, so a package cannot change while a firmware is made of it.
_LOCK_UPLOAD = "SELECT 1 FROM upload WHERE key = $1 AND size = $2 AND md5 = $3 FOR UPDATE"
_CANCEL = f"""
UPDATE task SET status = 'CANCELED', description = 'cancelled', push_ms = NULL, deadline_ms = NULL, modified_ms = $3
WHERE (product_key, device_name, job_id) IN (
    SELECT product_key, device_name, job_id FROM task WHERE job_id = $1 AND status = ANY($2::text[])
    ORDER BY device_name LIMIT {CANCEL_AT_ONCE} FOR UPDATE
) RETURNING {rows.TASK}
"""
_CANCELED = f"""
UPDATE job SET cancel_asked = true, modified_ms = $2 WHERE job_id = $1 AND expanded
AND status IN ('PLANNED', 'IN_PROGRESS')
AND NOT EXISTS (SELECT 1 FROM task t WHERE t.job_id = $1 AND t.status IN {rows.OPEN})
"""


class PostgresUploads:
    """Implements `Uploads`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def signing_key(self, candidate: bytes) -> bytes:
        async with connected(self._postgres) as connection:
            await connection.execute("INSERT INTO signing_key (key) VALUES ($1) ON CONFLICT DO NOTHING", candidate)
            return bytes(await connection.fetchval("SELECT key FROM signing_key"))

    async def add(self, key: str, instance_id: str, now_ms: int) -> None:
        async with connected(self._postgres) as connection:
            await connection.execute(
                "INSERT INTO upload (key, instance_id, created_ms) VALUES ($1, $2, $3)", key, instance_id, now_ms
            )

    async def find(self, key: str) -> Upload | None:
        async with connected(self._postgres) as connection:
            row = await connection.fetchrow(_FIND_UPLOAD, key)
        if row is None:
            return None
        package = Package(key, row["size"], row["md5"], row["sha256"]) if row["stored_ms"] else None
        return Upload(key, row["instance_id"], package, row["taken"])

    async def stored(self, package: Package, now_ms: int) -> bool:
        async with connected(self._postgres) as connection:
            await connection.execute("SELECT 1 FROM upload WHERE key = $1 FOR UPDATE", package.key)
            done = await connection.execute(_STORED, package.key, package.size, package.md5, package.sha256, now_ms)
        return bool(done != "UPDATE 0")


class PostgresFirmwares:
    """Implements `Firmwares`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def add(self, firmware: Firmware) -> bool:
        values = rows.firmware_values(firmware)
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        async with connected(self._postgres) as connection:
            same = await connection.fetchval(_LOCK_UPLOAD, firmware.key, firmware.size, firmware.md5)
            if same is None:
                return False
            try:
                async with connection.transaction():
                    await connection.execute(f"INSERT INTO firmware ({rows.FIRMWARE}) VALUES ({places})", *values)
            except asyncpg.UniqueViolationError:
                return False
        return True

    async def find(self, instance_id: str, firmware_id: str) -> Firmware | None:
        statement = f"SELECT {rows.FIRMWARE} FROM firmware WHERE firmware_id = $1 AND $2 IN ('', instance_id)"
        async with connected(self._postgres) as connection:
            row = await connection.fetchrow(statement, firmware_id, instance_id)
        return rows.firmware(row) if row else None


class PostgresJobs:
    """Implements `Jobs`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def add(self, job: Job, targets: Sequence[Target] | None) -> None:
        values = [*rows.job_values(job), job.target_selection is not Selection.ALL]
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        async with connected(self._postgres) as connection:
            await connection.execute(f"INSERT INTO job ({rows.JOB}, expanded) VALUES ({places})", *values)
            await announce(connection, [announcements.job(job)])
            if targets is not None:
                await add_tasks(connection, job, targets, job.created_ms)

    async def find(self, instance_id: str, job_id: str) -> Job | None:
        statement = f"SELECT {rows.JOB} FROM job WHERE job_id = $1 AND $2 IN ('', instance_id)"
        async with connected(self._postgres) as connection:
            row = await connection.fetchrow(statement, job_id, instance_id)
        return rows.job(row) if row else None

    async def tasks(self, job_id: str, wanted: TaskFilter) -> TaskPage:
        where = "job_id = $1 AND $2 IN ('', status) AND ($3::text[] = '{}' OR device_name = ANY($3::text[]))"
        own = (job_id, wanted.status, list(wanted.device_names))
        page = (
            f"SELECT {rows.TASK} FROM task WHERE {where} AND device_name > $4 ORDER BY device_name LIMIT $5 OFFSET $6"
        )
        offset = 0 if wanted.after else wanted.offset
        async with connected(self._postgres) as connection:
            total = int(await connection.fetchval(f"SELECT count(*) FROM task WHERE {where}", *own))
            found = await connection.fetch(page, *own, wanted.after, wanted.size + 1, offset)
        tasks = [rows.task(row) for row in found[: wanted.size]]
        return TaskPage(tasks, total, tasks[-1].device_name if len(found) > wanted.size else "")

    async def cancel(self, job_id: str, statuses: Sequence[TaskStatus], scheduled: bool, now_ms: int) -> int:
        wanted = {status.value for status in statuses}
        async with connected(self._postgres, LONG_S) as connection:
            planned = await connection.fetchval(
                "SELECT status = 'PLANNED' FROM job WHERE job_id = $1 FOR UPDATE", job_id
            )
            if planned and scheduled:
                wanted.add(TaskStatus.QUEUED.value)
            elif planned:
                return 0
            if TaskStatus.QUEUED.value in wanted:  # nor do devices get tasks that have none yet
                await connection.execute("UPDATE job SET expanded = true WHERE job_id = $1", job_id)
            canceled = 0
            while found := await connection.fetch(_CANCEL, job_id, list(wanted), now_ms):
                await ended(connection, [rows.task(row) for row in found])
                canceled += len(found)
            await connection.execute(_CANCELED, job_id, now_ms)
        return canceled
