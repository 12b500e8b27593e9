"""Where dead letters are kept to be looked at."""

from collections.abc import Sequence
from typing import Protocol

from thinghub.rule_engine.domain.deadletters import DeadLetter, Death, Found, Selection
from thinghub.rule_engine.domain.outputs import Output


class DeadLetterStore(Protocol):
    """Every method raises Unavailable while the store is away. A rule of another instance has none."""

    async def keep(self, deaths: Sequence[Death]) -> None:
        """Idempotent; an output that died again waits again. Those of rules that are gone are not kept."""

    async def page(self, selection: Selection, limit: int) -> list[DeadLetter]:
        """Newest first."""

    async def get(self, instance_id: str, dead_letter_id: int) -> tuple[DeadLetter, bytes]:
        """With the rendered result, JSON. Raises DeadLetterNotFound."""

    async def find(self, selection: Selection, limit: int) -> list[Found]:
        """Oldest first."""

    async def outputs(self, ids: Sequence[int]) -> list[Output]:
        """As new: without the tries they had; oldest death first."""

    async def note_redriven(self, found: Sequence[Found], now_ms: int) -> None:
        """One that has died again meanwhile goes on waiting."""

    async def purge(self, before_ms: int, kept: int, kept_bytes: int) -> tuple[int, int]:
        """Removes what is older, then the oldest beyond the bounds; returns how many of each."""
