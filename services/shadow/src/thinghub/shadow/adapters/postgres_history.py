"""History in PostgreSQL: a partition a day of receive time, made ahead, dropped past retention.

`items` of a post is [time, {identifier: value}], or {identifier: [[value, time], ...]} where values have other times.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Never

import asyncpg
import orjson

from thinghub.common.errors import Fault
from thinghub.common.migrations import Connection
from thinghub.common.postgres import Postgres, PostgresUnavailable
from thinghub.shadow.domain.thing_posts import Item
from thinghub.shadow.errors import StoreUnavailable
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import EventRow, PropertyRow, Span

DAY_MS = 24 * 3600 * 1000
AHEAD = 3
WRITE_S = 10.0
# Rows in one statement; the deadline is each chunk's.
CHUNK = 5_000
READ_S = 4.0
EVERY_S = 3600.0
RETRY_S = 5.0
TABLES = ("property_post", "event_post", "service_call")

_ADD_POSTS = """
INSERT INTO property_post (product_key, device_name, received_ms, message_id, last_ms, identifiers, items)
SELECT n.pk, n.dn, n.at, n.id, n.last, string_to_array(n.names, ','), n.items
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[])
    AS n (pk, dn, at, id, last, names, items)
ON CONFLICT DO NOTHING
"""
_ADD_EVENTS = """
INSERT INTO event_post (product_key, device_name, received_ms, message_id, time_ms, identifier, name, type, value)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[],
    $8::text[], $9::text[])
ON CONFLICT DO NOTHING
"""
_VALUES = """
SELECT items FROM property_post
WHERE product_key = $1 AND device_name = $2 AND last_ms BETWEEN $3 AND $4 AND identifiers @> ARRAY[$5::text]
ORDER BY last_ms {order}, received_ms {order}, message_id {order} LIMIT $6
"""
_EVENTS = """
SELECT product_key, device_name, received_ms, message_id, time_ms, identifier, name, type, value FROM event_post
WHERE product_key = $1 AND device_name = $2 AND time_ms BETWEEN $3 AND $4
    AND ($5 = '' OR identifier = $5) AND ($6 = '' OR type = $6)
ORDER BY time_ms {order}, received_ms {order}, message_id {order} LIMIT $7
"""
_PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = $1::regclass
"""


class PostgresHistory:
    """Implements `History`. `now_ms` gives epoch milliseconds."""

    def __init__(self, postgres: Postgres, days: int, now_ms: Callable[[], int]) -> None:
        self._postgres = postgres
        self._days = days
        self._now_ms = now_ms
        self._made: set[int] = set()

    async def add(self, posts: Sequence[PropertyRow], events: Sequence[EventRow]) -> None:
        if not posts and not events:
            return
        oldest = self._oldest()
        kept = [one for one in posts if one.received_ms // DAY_MS >= oldest]
        happened = [one for one in events if one.received_ms // DAY_MS >= oldest]
        days = {one.received_ms // DAY_MS for one in kept} | {one.received_ms // DAY_MS for one in happened}
        # What is written when a later chunk fails is the same when the batch comes again.
        for start in range(0, max(len(kept), len(happened)), CHUNK):
            some, others = kept[start : start + CHUNK], happened[start : start + CHUNK]
            async with self.connected(WRITE_S) as connection:
                await self.make(connection, days)
                if some:
                    await connection.execute(_ADD_POSTS, *_post_columns(some))
                if others:
                    await connection.execute(_ADD_EVENTS, *_event_columns(others))

    async def values(self, device: Device, identifier: str, span: Span) -> list[Item]:
        statement = _VALUES.format(order="ASC" if span.ascending else "DESC")
        async with self.connected(READ_S) as connection:
            rows = await connection.fetch(statement, *device, span.start_ms, span.end_ms, identifier, span.limit + 1)
        found = [item for row in rows for item in items_of(row["items"], identifier)]
        inside = [one for one in found if span.start_ms <= one.time_ms <= span.end_ms]
        return sorted(inside, key=lambda one: one.time_ms, reverse=not span.ascending)[: span.limit + 1]

    async def events(self, device: Device, identifier: str, kind: str, span: Span) -> list[EventRow]:
        statement = _EVENTS.format(order="ASC" if span.ascending else "DESC")
        async with self.connected(READ_S) as connection:
            rows = await connection.fetch(
                statement, *device, span.start_ms, span.end_ms, identifier, kind, span.limit + 1
            )
        return [EventRow(Device(row[0], row[1]), *list(row)[2:]) for row in rows]

    async def keep(self) -> Never:
        """Makes the partitions of the days to come and drops those past retention, until cancelled."""
        while True:
            try:
                await self.turn()
                pause = EVERY_S
            except Fault:
                pause = RETRY_S
            await asyncio.sleep(pause)

    async def turn(self) -> None:
        today = self._now_ms() // DAY_MS
        async with self.connected(WRITE_S) as connection:
            await self.make(connection, range(today, today + AHEAD + 1))
            for name, day in await self.partitions(connection):
                if day < self._oldest():
                    await connection.execute(f'DROP TABLE IF EXISTS "{name}"')
        self._made = {day for day in self._made if day >= self._oldest()}

    async def partitions(self, connection: Connection) -> list[tuple[str, int]]:
        """Their names and days (since 1970), of all tables."""
        names = [row["relname"] for table in TABLES for row in await connection.fetch(_PARTITIONS, table)]
        return [(name, _day_of(name)) for name in names]

    def _oldest(self) -> int:
        return self._now_ms() // DAY_MS - self._days

    async def make(self, connection: Connection, days: Iterable[int]) -> None:
        """The partitions of these days (since 1970), in every table of `TABLES`."""
        for day in days:
            if day in self._made:
                continue
            for table in TABLES:
                await _make_partition(connection, table, day)
            self._made.add(day)

    @asynccontextmanager
    async def connected(self, deadline: float) -> AsyncIterator[Connection]:
        """Raises StoreUnavailable, also for what happens inside; `deadline` is seconds for all of it."""
        try:
            async with asyncio.timeout(deadline), self._postgres.acquire() as connection:
                yield connection
        except asyncpg.CheckViolationError as error:
            # A partition was dropped behind our back: it is made again when the batch comes again.
            self._made.clear()
            raise StoreUnavailable("the history has no partition for this day") from error
        except (PostgresUnavailable, TimeoutError, OSError, asyncpg.TransactionRollbackError) as error:
            raise StoreUnavailable("the history cannot be reached") from error


async def _make_partition(connection: Connection, table: str, day: int) -> None:
    name, start = f"{table}_{_date(day)}", day * DAY_MS
    try:
        await connection.execute(
            f'CREATE TABLE IF NOT EXISTS "{name}" PARTITION OF {table} FOR VALUES FROM ({start}) TO ({start + DAY_MS})'
        )
    except (asyncpg.DuplicateTableError, asyncpg.UniqueViolationError, asyncpg.InvalidObjectDefinitionError):
        return  # another process was there at the same moment


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_MS / 1000, UTC).strftime("%Y%m%d")


def _day_of(name: str) -> int:
    return int(datetime.strptime(name.rpartition("_")[2], "%Y%m%d").replace(tzinfo=UTC).timestamp()) * 1000 // DAY_MS


def _post_columns(rows: Sequence[PropertyRow]) -> tuple[list[object], ...]:
    return (
        [one.device.product_key for one in rows],
        [one.device.device_name for one in rows],
        [one.received_ms for one in rows],
        [one.message_id for one in rows],
        [
            max(item.time_ms for values in one.timed.values() for item in values) if one.timed else one.received_ms
            for one in rows
        ],
        # Identifiers have no commas.
        [",".join(one.timed or one.plain) for one in rows],
        [_text(one) for one in rows],
    )


def _event_columns(rows: Sequence[EventRow]) -> tuple[list[object], ...]:
    return (
        [one.device.product_key for one in rows],
        [one.device.device_name for one in rows],
        [one.received_ms for one in rows],
        [one.message_id for one in rows],
        [one.time_ms for one in rows],
        [one.identifier for one in rows],
        [one.name for one in rows],
        [one.type for one in rows],
        [one.value for one in rows],
    )


def _text(row: PropertyRow) -> str:
    if not row.timed:
        return orjson.dumps((row.received_ms, row.plain)).decode()
    items = {name: [(item.value, item.time_ms) for item in values] for name, values in row.timed.items()}
    return orjson.dumps(items).decode()


def items_of(text: str, identifier: str) -> list[Item]:
    """Of one property; the two forms are those of the column `items`."""
    post = orjson.loads(text)
    if isinstance(post, list):
        return [Item(post[1][identifier], post[0])]
    return [Item(*one) for one in post[identifier]]
