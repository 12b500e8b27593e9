"""What re-sealing needs of a store: records by the key that opens them. Every call raises StoreUnavailable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from thinghub.auth.domain.master_keys import Kind
from thinghub.auth.domain.sealing import Place, Sealed

Reseal = Callable[[Sealed, Place], Sealed | None]
"""The same secret sealed anew; None leaves the record as it is."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """A page of records: `last` is the place of the last one looked at, None at the end."""

    places: list[Place]
    last: Place | None


class SealedRecords(Protocol):
    @property
    def kind(self) -> Kind: ...

    async def counts(self) -> Mapping[str, int]:
        """Records by key id."""

    async def reseal(self, key_id: str, after: Place | None, limit: int, reseal: Reseal) -> Resealed:
        """One page of the records of this key in the order of their places, all or none of it; records that are being
        changed are passed over."""


class Agreement(Protocol):
    """What running processes seal with. A process that was seen lately counts as running."""

    async def announce(self) -> None:
        """Says that this process runs, and its first key."""

    async def others(self) -> list[str]:
        """Keys other than this process's first one that running processes have first."""
