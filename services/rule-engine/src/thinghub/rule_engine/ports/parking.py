"""The durable places where outputs wait for another try, and the dead letters."""

from collections.abc import Sequence
from typing import Protocol

from thinghub.rule_engine.domain.outputs import Output
from thinghub.rule_engine.domain.retries import Waiting


class Parking(Protocol):
    @property
    def loss(self) -> str:
        """How outputs that it could not keep are counted."""

    async def park(self, place: Waiting, outputs: Sequence[Output], not_before_ms: int) -> int:
        """Returns when they are durable: how many could not be kept and are lost. Raises Unavailable,
        ResourceExhausted: then some may be there."""

    async def waiting(self) -> dict[str, int]:
        """Records not yet tried again, by place. Raises Unavailable."""
