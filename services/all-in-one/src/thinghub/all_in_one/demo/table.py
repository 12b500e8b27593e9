"""The table that the rule writes, read back by the demo: the database tells of each row, the demo then reads it."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

TABLE = "greenhouse"
CHANNEL = "greenhouse_written"
VALUES = ("temperature", "humidity", "moisture", "light")
CONNECT_SECONDS = 20.0
QUERY_SECONDS = 5.0
RETRY_SECONDS = 1.0
LOOK_BACK = 100  # rows written while nobody listened
QUERY = f"SELECT message_id, device, reading, {', '.join(VALUES)} FROM {TABLE}"

DDL = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    message_id bigint PRIMARY KEY,
    device text NOT NULL,
    reading bigint NOT NULL,
    temperature double precision,
    humidity double precision,
    moisture double precision,
    light double precision,
    at bigint NOT NULL
);
CREATE OR REPLACE FUNCTION {TABLE}_tell() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_notify('{CHANNEL}', NEW.message_id::text); RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER {TABLE}_tell AFTER INSERT ON {TABLE} FOR EACH ROW EXECUTE FUNCTION {TABLE}_tell();
"""


@dataclass(frozen=True)
class Row:
    """A sensor fills the columns that it measures."""

    message_id: int
    device: str
    reading: int
    temperature: float | None = None
    humidity: float | None = None
    moisture: float | None = None
    light: float | None = None

    @property
    def values(self) -> dict[str, float]:
        told = {name: getattr(self, name) for name in VALUES}
        return {name: value for name, value in told.items() if value is not None}


async def create(dsn: str) -> int:
    """Makes the table unless it is there; returns how many rows it has."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        await connection.execute(DDL, timeout=QUERY_SECONDS)
        return int(await connection.fetchval(f"SELECT count(*) FROM {TABLE}", timeout=QUERY_SECONDS))
    finally:
        await connection.close(timeout=QUERY_SECONDS)


async def follow(dsn: str, seen: Callable[[Row], None], lost: Callable[[], None]) -> None:
    """Calls `seen` with each row written from now on, and some older ones, until cancelled; `lost` when the database
    went away meanwhile."""
    while True:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            await _follow_once(dsn, seen)
        lost()
        await asyncio.sleep(RETRY_SECONDS)


async def _follow_once(dsn: str, seen: Callable[[Row], None]) -> None:
    ids: asyncio.Queue[int] = asyncio.Queue(maxsize=1000)
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)

    def told(_connection: object, _pid: int, _channel: str, payload: object) -> None:
        if not ids.full():  # the view then misses a line, the table no row
            ids.put_nowait(int(str(payload)))

    def ended(_connection: object) -> None:
        if not ids.full():  # when full, the next query fails and says the same
            ids.put_nowait(0)

    try:
        connection.add_termination_listener(ended)
        await connection.add_listener(CHANNEL, told)
        for missed in await connection.fetch(f"{QUERY} ORDER BY at DESC LIMIT {LOOK_BACK}", timeout=QUERY_SECONDS):
            seen(Row(**dict(missed)))
        while message_id := await ids.get():
            found = await connection.fetchrow(f"{QUERY} WHERE message_id = $1", message_id, timeout=QUERY_SECONDS)
            if found:
                seen(Row(**dict(found)))
    finally:
        await connection.close(timeout=QUERY_SECONDS)
