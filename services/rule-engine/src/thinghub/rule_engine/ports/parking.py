"""The durable places where outputs wait for another try, and the dead letters."""

from collections.abc import Sequence
from typing import Protocol

from thinghub.rule_engine.domain.outputs import Output
from thinghub.rule_engine.domain.retries import Waiting


class Parking(Protocol):
    async def park(self, place: Waiting, outputs: Sequence[Output], not_before_ms: int) -> int:
        """Returns when they are durable: how many were too large for any place and are lost. Raises Unavailable,
        ResourceExhausted: then some may be there."""

    async def waiting(self) -> dict[str, int]:
        """Records not yet tried again, by place. Raises Unavailable."""
