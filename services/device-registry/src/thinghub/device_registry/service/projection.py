"""The status projection: batches of lifecycle messages into the store (`domain.status` has the rule)."""

from collections.abc import Sequence
from typing import Protocol

from thinghub.device_registry.domain.status import StatusChange, rounds
from thinghub.device_registry.ports.store import Statuses

BATCH = 1000


class Counts(Protocol):
    def applied(self, took_effect: int, ignored: int) -> None: ...
    def malformed(self, count: int) -> None: ...


class Projection:
    def __init__(self, store: Statuses, counts: Counts) -> None:
        self._store = store
        self._counts = counts

    async def apply(self, changes: Sequence[StatusChange]) -> None:
        """Changes in the order of the bus. Returns when they are stored. Raises StoreUnavailable."""
        for changed in rounds(changes):
            for start in range(0, len(changed), BATCH):
                batch = changed[start : start + BATCH]
                took_effect = await self._store.apply(batch)
                self._counts.applied(took_effect, len(batch) - took_effect)
