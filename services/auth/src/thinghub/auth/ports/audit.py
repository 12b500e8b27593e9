"""What the audit log needs of its store. Every call has a deadline of its own and raises StoreUnavailable."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from thinghub.auth.domain.audit import AuditedCall, AuditQuery, AuditRecord


class AuditRecords(Protocol):
    async def begin(self, call: AuditedCall, time_ms: int) -> int:
        """The record's id, once it is durable."""

    async def finish(self, record_id: int, code: str, made: Mapping[str, str], time_ms: int) -> None:
        """The first outcome stays; a record that is gone is passed over."""

    async def list(self, query: AuditQuery) -> Sequence[AuditRecord]:
        """Newest first."""

    async def purge(self, before_ms: int, limit: int) -> int:
        """Deletes at most so many records that are older; the number deleted."""
