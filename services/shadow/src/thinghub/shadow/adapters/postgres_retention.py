"""How long a product's history is kept, and the sweep that keeps to it.

The platform's own retention drops whole partitions (`postgres_history`). A product may keep fewer days: once a day, and
at the start, its rows past them are deleted, so many at a time. Several processes may sweep at once: each takes rows
that no other is taking.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Never

import asyncpg

from thinghub.common.errors import Fault
from thinghub.shadow.adapters.postgres_history import DAY_MS, READ_S, WRITE_S, PostgresHistory

BATCH: Final = 5_000
PRODUCTS: Final = 500
PAUSE_S: Final = 0.05
EVERY_S: Final = 3600.0
RETRY_S: Final = 5.0

_DELETE = """
DELETE FROM "{partition}" WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM "{partition}" WHERE product_key = ANY ($1::text[]) AND received_ms < $2
    LIMIT $3 FOR UPDATE SKIP LOCKED
))
"""


class PostgresRetention:
    """Implements `Retentions`. `days` is the platform's retention, `now_ms` gives epoch milliseconds."""

    def __init__(self, history: PostgresHistory, days: int, now_ms: Callable[[], int], batch: int = BATCH) -> None:
        self._history = history
        self._days = days
        self._now_ms = now_ms
        self._batch = batch

    async def days(self, product_key: str) -> int:
        async with self._history.connected(READ_S) as connection:
            found = await connection.fetchval("SELECT days FROM product_retention WHERE product_key = $1", product_key)
        return int(found or 0)

    async def keep_days(self, product_key: str, days: int) -> None:
        async with self._history.connected(WRITE_S) as connection:
            if days:
                await connection.execute(
                    "INSERT INTO product_retention (product_key, days) VALUES ($1, $2) "
                    "ON CONFLICT (product_key) DO UPDATE SET days = excluded.days",
                    product_key,
                    days,
                )
            else:
                await connection.execute("DELETE FROM product_retention WHERE product_key = $1", product_key)

    async def keep(self) -> Never:
        """Sweeps at once and then whenever a new day (UTC) has begun, until cancelled."""
        swept = -1
        while True:
            pause, today = EVERY_S, self._now_ms() // DAY_MS
            if swept != today:
                try:
                    await self.sweep()
                    swept = today
                except Fault:
                    pause = RETRY_S
            await asyncio.sleep(pause)

    async def sweep(self) -> int:
        """How many rows it deleted. Raises StoreUnavailable."""
        now_ms = self._now_ms()
        async with self._history.connected(READ_S) as connection:
            partitions = await self._history.partitions(connection)
            rows = await connection.fetch("SELECT product_key, days FROM product_retention WHERE days < $1", self._days)
        by_days: dict[int, list[str]] = {}
        for row in rows:
            by_days.setdefault(row["days"], []).append(row["product_key"])
        deleted = 0
        for days, products in by_days.items():
            before_ms = now_ms - days * DAY_MS
            old = [partition for partition, day in partitions if day * DAY_MS < before_ms]
            for partition in old:
                for chunk in _chunks(products):
                    deleted += await self._empty(partition, chunk, before_ms)
        return deleted

    async def _empty(self, partition: str, products: Sequence[str], before_ms: int) -> int:
        deleted = 0
        while True:
            try:
                async with self._history.connected(WRITE_S) as connection:
                    status = await connection.execute(
                        _DELETE.format(partition=partition), products, before_ms, self._batch
                    )
            except asyncpg.UndefinedTableError:
                return deleted  # past the platform's retention by now
            count = int(status.rpartition(" ")[2])
            deleted += count
            if count < self._batch:
                return deleted
            await asyncio.sleep(PAUSE_S)


def _chunks(products: Sequence[str]) -> Iterator[Sequence[str]]:
    return (products[start : start + PRODUCTS] for start in range(0, len(products), PRODUCTS))
