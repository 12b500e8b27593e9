"""How long to wait before the next attempt: exponential backoff with full jitter, a pure function of a random number.

A fleet that lost its platform in one moment must not come back in one moment: each device waits a time drawn evenly
from nothing to a ceiling that doubles with each failed attempt, up to a cap.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds. Raises ValueError unless 0 < first <= cap and factor >= 1."""

    first: float = 1.0
    cap: float = 60.0
    factor: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.cap:
            raise ValueError("a backoff needs 0 < first <= cap")
        if self.factor < 1:
            raise ValueError("a backoff's factor is 1 or more")

    def ceiling(self, attempt: int) -> float:
        """The longest wait after so many failed attempts in a row; attempt 0 is the first failure."""
        try:
            return min(self.cap, self.first * self.factor**attempt)
        except OverflowError:
            return self.cap

    def delay(self, attempt: int, chance: float) -> float:
        """`chance` is drawn from [0, 1)."""
        return self.ceiling(attempt) * chance
