"""The audit log: written twice a call, listed, and kept for so many days."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Never

from thinghub.auth.domain.audit import (
    MAX_PAGE,
    AuditedCall,
    AuditQuery,
    AuditRecord,
    check_call,
    check_query,
    check_target,
)
from thinghub.auth.errors import RequestInvalid, StoreUnavailable
from thinghub.auth.ports.audit import AuditRecords

MAX_CODE = 128
PURGE_BATCH = 2000
DAY_MS = 24 * 3600 * 1000


class AuditLog:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(self, records: AuditRecords, clock_ms: Callable[[], int]) -> None:
        self._records = records
        self._clock_ms = clock_ms

    async def begin(self, call: AuditedCall) -> int:
        """The record's id. Raises StoreUnavailable: then nothing is recorded, and nothing should be done."""
        check_call(call)
        return await self._records.begin(call, self._clock_ms())

    async def finish(self, record_id: int, code: str, made: Mapping[str, str]) -> None:
        if not 1 <= len(code) <= MAX_CODE or "\0" in code:
            raise RequestInvalid(f"an outcome has 1 to {MAX_CODE} characters and no NUL")
        check_target(made)
        await self._records.finish(record_id, code, made, self._clock_ms())

    async def list(self, query: AuditQuery) -> Sequence[AuditRecord]:
        check_query(query)
        return await self._records.list(replace(query, limit=query.limit or MAX_PAGE))


class AuditKeeping:
    """Deletes records older than `days`, in batches with a pause between them."""

    def __init__(
        self, records: AuditRecords, clock_ms: Callable[[], int], days: float, every_s: float, log: logging.Logger
    ) -> None:
        self._records = records
        self._clock_ms = clock_ms
        self._days = days
        self._every_s = every_s
        self._log = log

    async def run(self) -> Never:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                if deleted := await self.round():
                    self._log.info("%d audit records were older than %g days and are deleted", deleted, self._days)
            except StoreUnavailable:
                self._log.debug("old audit records wait for the store")

    async def round(self) -> int:
        """Number deleted. Raises StoreUnavailable."""
        before_ms, deleted = self._clock_ms() - int(self._days * DAY_MS), 0
        while batch := await self._records.purge(before_ms, PURGE_BATCH):
            deleted += batch
            await asyncio.sleep(0.05)
        return deleted
