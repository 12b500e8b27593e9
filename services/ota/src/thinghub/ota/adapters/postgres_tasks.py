"""How a job's devices get their tasks, and how tasks end: statements that several stores share."""

import secrets
from collections.abc import Sequence

from thinghub.common.migrations import Connection
from thinghub.ota.adapters import rows
from thinghub.ota.adapters.postgres import announce
from thinghub.ota.domain import announcements
from thinghub.ota.domain.models import REPLACE, Job, Target, Task

# One at a time for a product's module, so that a device never gets two open tasks of it.
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || $1 || '/' || $2, 0))"
_DEVICES = """
INSERT INTO device (product_key, device_name, iot_id)
SELECT $1, n.name, n.iot_id FROM unnest($2::text[], $3::text[]) AS n (name, iot_id)
ORDER BY n.name ON CONFLICT DO NOTHING
"""
_REPLACED = f"""
UPDATE task t SET status = 'CANCELED', description = $4, push_ms = NULL, deadline_ms = NULL, modified_ms = $5
WHERE product_key = $1 AND module = $2 AND device_name = ANY($3::text[]) AND status IN {rows.OPEN}
AND ($6::text[] = '{{}}' OR EXISTS (
    SELECT 1 FROM module_version v WHERE v.product_key = $1 AND v.device_name = t.device_name AND v.module = $2
    AND v.version = ANY($6::text[])))
AND job_id <> $7
RETURNING {rows.TASK}
"""
# A device that has the version already, or is busy with another task, gets a task that has ended and says so.
_ADD = f"""
INSERT INTO task (product_key, device_name, job_id, task_id, iot_id, firmware_id, module, src_version, dest_version,
    status, description, timeout_minutes, need_push, push_ms, created_ms, modified_ms)
SELECT $1, n.name, $2, n.task_id, n.iot_id, $3, $4, coalesce(v.version, ''), $5,
    CASE WHEN v.version = $5 THEN 'SUCCEEDED' WHEN o.job_id IS NOT NULL THEN 'FAILED' ELSE 'QUEUED' END,
    CASE WHEN v.version = $5 THEN 'the device has this version'
         WHEN o.job_id IS NOT NULL THEN 'another upgrade of this module is unfinished' ELSE '' END,
    $6, $7,
    CASE WHEN $7 AND v.version IS DISTINCT FROM $5 AND o.job_id IS NULL THEN $8::bigint END, $9, $9
FROM unnest($10::text[], $11::text[], $12::text[]) AS n (name, iot_id, task_id)
LEFT JOIN module_version v ON v.product_key = $1 AND v.device_name = n.name AND v.module = $4
LEFT JOIN task o ON o.product_key = $1 AND o.device_name = n.name AND o.module = $4 AND o.status IN {rows.OPEN}
WHERE $13::text[] = '{{}}' OR v.version = ANY($13::text[])
ORDER BY n.name
ON CONFLICT (product_key, device_name, job_id) DO NOTHING
RETURNING {rows.TASK}
"""


async def add_tasks(connection: Connection, job: Job, targets: Sequence[Target], now_ms: int) -> None:
    """Repeating it adds nothing."""
    await connection.execute(_ALONE, job.product_key, job.module)
    names, iot_ids = [one.device_name for one in targets], [one.iot_id for one in targets]
    sources = list(job.src_versions)
    await connection.execute(_DEVICES, job.product_key, names, iot_ids)
    if job.overwrite_mode == REPLACE:
        why = f"replaced by job {job.job_id}"
        replaced = await connection.fetch(
            _REPLACED, job.product_key, job.module, names, why, now_ms, sources, job.job_id
        )
        await ended(connection, [rows.task(row) for row in replaced])
    added = await connection.fetch(
        _ADD,
        job.product_key,
        job.job_id,
        job.firmware_id,
        job.module,
        job.dest_version,
        job.timeout_minutes,
        job.need_push,
        max(job.scheduled_ms, now_ms),
        now_ms,
        names,
        iot_ids,
        [secrets.token_hex(16) for _ in targets],
        sources,
    )
    await ended(connection, [task for row in added if (task := rows.task(row)).status.value not in rows.OPEN])


async def ended(connection: Connection, tasks: Sequence[Task]) -> None:
    """Says of each what became of it."""
    await announce(connection, [announcements.result(task) for task in tasks])
