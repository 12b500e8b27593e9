"""What devices say, applied in PostgreSQL; and the outbox."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from thinghub.common.migrations import Connection
from thinghub.common.postgres import Postgres
from thinghub.device_protocol.ota import FAILURES
from thinghub.ota.adapters import rows
from thinghub.ota.adapters.postgres import LONG_S, announce, connected
from thinghub.ota.adapters.postgres_rollout import PUSHED
from thinghub.ota.adapters.postgres_tasks import ended
from thinghub.ota.domain import announcements
from thinghub.ota.domain.models import DeviceId, Due, Task
from thinghub.ota.ports.store import Announcement, Event, Gone, Informed, Online, Progressed

_KNOWN = """
SELECT d.product_key, d.device_name, d.iot_id FROM device d
JOIN unnest($1::text[], $2::text[]) AS n (pk, dn) ON d.product_key = n.pk AND d.device_name = n.dn
"""
_LEARN = """
INSERT INTO device (product_key, device_name, iot_id) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
ORDER BY 1, 2 ON CONFLICT DO NOTHING
"""
_FENCE = """
UPDATE device SET epoch = $3, sequence = $4
WHERE product_key = $1 AND device_name = $2 AND (epoch, sequence) < ($3, $4) RETURNING iot_id
"""
_VERSION = """
INSERT INTO module_version AS m (product_key, device_name, module, version, modified_ms) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (product_key, device_name, module) DO UPDATE SET version = $4, modified_ms = $5 WHERE m.version <> $4
RETURNING 1
"""
_REACHED = f"""
UPDATE task SET status = 'SUCCEEDED', description = 'success', progress = 100, push_ms = NULL, deadline_ms = NULL,
    modified_ms = $5
WHERE product_key = $1 AND device_name = $2 AND module = $3 AND dest_version = $4 AND status IN {rows.OPEN}
RETURNING {rows.TASK}
"""
# A device that named its version is there: it is told of what waits for it, unless it was told already.
_NUDGE = f"""
UPDATE task t SET src_version = CASE WHEN src_version = '' THEN $4 ELSE src_version END,
    push_ms = CASE WHEN need_push AND t.status = 'QUEUED' AND push_ms IS NULL THEN $5 ELSE push_ms END
WHERE product_key = $1 AND device_name = $2 AND module = $3 AND t.status IN {rows.OPEN}
AND EXISTS (SELECT 1 FROM job j WHERE j.job_id = t.job_id AND j.status <> 'PLANNED')
"""
_OPEN_TASK = f"""
SELECT {rows.of_task("t")} FROM task t JOIN job j ON j.job_id = t.job_id AND j.status <> 'PLANNED'
WHERE t.product_key = $1 AND t.device_name = $2 AND $3 IN ('', t.module) AND t.status IN {rows.OPEN}
ORDER BY t.module <> 'default', t.created_ms LIMIT 1
"""
_PROGRESS = f"""
UPDATE task SET status = $2, progress = $3, description = $4, modified_ms = $5, push_ms = NULL,
    deadline_ms = CASE WHEN $2 = 'FAILED' THEN NULL ELSE deadline_ms END
WHERE task_id = $1 AND status IN {rows.OPEN} RETURNING {rows.TASK}
"""
# Of a session's beginning only the first notice counts.
_ONLINE = f"""
WITH back AS (
    UPDATE device d SET online_epoch = n.epoch FROM (
        SELECT pk, dn, max(epoch) AS epoch FROM unnest($1::text[], $2::text[], $3::bigint[]) AS n (pk, dn, epoch)
        GROUP BY pk, dn
    ) n WHERE d.product_key = n.pk AND d.device_name = n.dn AND d.online_epoch < n.epoch
    RETURNING d.product_key, d.device_name
)
UPDATE task t SET push_ms = CASE WHEN t.status = 'IN_PROGRESS' THEN $4::bigint + $5::bigint ELSE $4::bigint END
FROM back b, job j
WHERE t.product_key = b.product_key AND t.device_name = b.device_name AND t.need_push AND t.status IN {rows.OPEN}
AND j.job_id = t.job_id AND j.status <> 'PLANNED'
"""
_GONE = "DELETE FROM device WHERE product_key = $1 AND device_name = $2 AND iot_id = $3 RETURNING 1"
_GONE_TASKS = f"""
UPDATE task SET status = 'CANCELED', description = 'the device was deleted', push_ms = NULL, deadline_ms = NULL,
    modified_ms = $3
WHERE product_key = $1 AND device_name = $2 AND status IN {rows.OPEN} RETURNING {rows.TASK}
"""
_ONE_AT_A_TIME = "SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || ' outbox', 0))"
_TAKE = "SELECT id, product_key, device_name, topic, body, at_ms FROM outbox ORDER BY id LIMIT $1"


class PostgresReports:
    """Implements `Reports`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def known(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, str]:
        async with connected(self._postgres) as connection:
            found = await connection.fetch(_KNOWN, [one.product_key for one in devices], [one[1] for one in devices])
        return {DeviceId(row["product_key"], row["device_name"]): row["iot_id"] for row in found}

    async def learn(self, devices: Mapping[DeviceId, str]) -> None:
        names = ([one.product_key for one in devices], [one.device_name for one in devices])
        async with connected(self._postgres) as connection:
            await connection.execute(_LEARN, *names, list(devices.values()))

    async def apply(self, events: Sequence[Event], resend_ms: int) -> None:
        async with connected(self._postgres, LONG_S) as connection:
            for event in events:
                match event:
                    case Informed():
                        await _informed(connection, event)
                    case Progressed():
                        await _progressed(connection, event)
                    case Gone():
                        await _gone(connection, event)
                    case Online():
                        pass  # below, all at once: a fleet that reconnects has many
            back = [event for event in events if isinstance(event, Online)]
            if back:
                names = [one.device.product_key for one in back], [one.device.device_name for one in back]
                epochs, at_ms = [one.epoch for one in back], max(one.at_ms for one in back)
                await connection.execute(_ONLINE, *names, epochs, at_ms, resend_ms)

    async def open_task(self, device: DeviceId, module: str) -> Due | None:
        firmware = f"SELECT {rows.FIRMWARE} FROM firmware WHERE firmware_id = $1"
        async with connected(self._postgres) as connection:
            row = await connection.fetchrow(_OPEN_TASK, *device, module)
            if row is None:
                return None
            of = await connection.fetchrow(firmware, row["firmware_id"])
            assert of is not None, "a task refers to its firmware"
            return Due(rows.task(row), rows.firmware(of), 0)

    async def asked(self, task: Task, now_ms: int) -> None:
        async with connected(self._postgres) as connection:
            await connection.execute(PUSHED, [task.task_id], 0, now_ms)


async def _informed(connection: Connection, event: Informed) -> None:
    iot_id = await connection.fetchval(_FENCE, *event.device, event.epoch, event.sequence)
    if iot_id is None:
        return
    about = (*event.device, event.module, event.version, event.at_ms)
    if await connection.fetchval(_VERSION, *about):
        await announce(
            connection, [announcements.version(event.device, iot_id, event.module, event.version, event.at_ms)]
        )
    reached = await connection.fetch(_REACHED, *about)
    await ended(connection, [rows.task(row) for row in reached])
    if not reached:
        await connection.execute(_NUDGE, *about)


async def _progressed(connection: Connection, event: Progressed) -> None:
    if await connection.fetchval(_FENCE, *event.device, event.epoch, event.sequence) is None:
        return
    row = await connection.fetchrow(_OPEN_TASK, *event.device, event.module)
    if row is None:
        return
    failed = event.step < 0
    status, progress = ("FAILED", row["progress"]) if failed else ("IN_PROGRESS", event.step)
    desc = event.desc or (FAILURES[event.step] if failed else "")
    changed = await connection.fetch(_PROGRESS, row["task_id"], status, progress, desc, event.at_ms)
    if failed:
        await ended(connection, [rows.task(one) for one in changed])


async def _gone(connection: Connection, event: Gone) -> None:
    if not await connection.fetchval(_GONE, *event.device, event.iot_id):
        return
    await connection.execute("DELETE FROM module_version WHERE product_key = $1 AND device_name = $2", *event.device)
    await ended(connection, [rows.task(row) for row in await connection.fetch(_GONE_TASKS, *event.device, event.at_ms)])


class PostgresOutbox:
    """Implements `Outbox`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    @asynccontextmanager
    async def taking(self, limit: int) -> AsyncIterator[Sequence[Announcement]]:
        async with connected(self._postgres, LONG_S) as connection:
            mine = await connection.fetchval(_ONE_AT_A_TIME)
            taken = [
                Announcement(
                    row["id"], row["product_key"], row["device_name"], row["topic"], row["body"].encode(), row["at_ms"]
                )
                for row in (await connection.fetch(_TAKE, limit) if mine else ())
            ]
            yield taken
            if taken:
                await connection.execute("DELETE FROM outbox WHERE id = ANY($1::bigint[])", [one.id for one in taken])
