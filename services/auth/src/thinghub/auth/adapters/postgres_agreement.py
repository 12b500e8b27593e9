"""Which master key each running process seals with, in PostgreSQL and by its clock."""

from thinghub.auth.adapters.postgres import connected
from thinghub.common.postgres import Postgres

FORGET_MS = 24 * 3600 * 1000

_NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_ANNOUNCE = f"""
INSERT INTO sealing_process (process, active_key, seen_ms) VALUES ($1, $2, {_NOW})
ON CONFLICT (process) DO UPDATE SET active_key = excluded.active_key, seen_ms = excluded.seen_ms
"""
_FORGET = f"DELETE FROM sealing_process WHERE seen_ms < {_NOW} - {FORGET_MS}"
_OTHERS = f"""
SELECT DISTINCT active_key FROM sealing_process WHERE active_key <> $1 AND seen_ms > {_NOW} - $2 ORDER BY 1
"""


class PostgresAgreement:
    """Implements `Agreement`. `lasting_s`: how long a process that was seen counts as running."""

    def __init__(self, postgres: Postgres, process: str, active_key: str, lasting_s: float) -> None:
        self._postgres = postgres
        self._process = process
        self._active_key = active_key
        self._lasting_ms = int(lasting_s * 1000)

    async def announce(self) -> None:
        async with connected(self._postgres) as connection:
            await connection.execute(_ANNOUNCE, self._process, self._active_key)
            await connection.execute(_FORGET)

    async def others(self) -> list[str]:
        async with connected(self._postgres) as connection:
            rows = await connection.fetch(_OTHERS, self._active_key, self._lasting_ms)
        return [row["active_key"] for row in rows]
