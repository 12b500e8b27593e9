"""Rates: how often something may happen per key, with a bounded memory.

Generic cell rate algorithm: a key keeps one number, the time at which its allowance would be whole again; `burst`
events may come at once and then one every minute/burst. Keys whose allowance is whole need no memory; beyond the
bound the oldest are forgotten, which errs towards allowing.
"""

from collections import OrderedDict
from collections.abc import Hashable

KEYS = 100_000


class Rates:
    """Events a minute, each key; 0 allows everything. Times are seconds of any steady clock."""

    def __init__(self, per_minute: int, keys: int = KEYS) -> None:
        self._per_minute = per_minute
        self._step = 60 / per_minute if per_minute else 0.0
        self._keys = keys
        self._whole_at: OrderedDict[Hashable, float] = OrderedDict()

    def allows(self, key: Hashable, now: float) -> bool:
        """Whether one more would be within the rate."""
        return max(self._whole_at.get(key, now), now) + self._step <= now + 60 + 1e-9

    def count(self, key: Hashable, now: float) -> bool:
        """Counts one if it is within the rate; False: it is not, and was not counted."""
        if not self._step:
            return True
        if not self.allows(key, now):
            return False
        self._whole_at[key] = max(self._whole_at.pop(key, now), now) + self._step
        if len(self._whole_at) > self._keys:
            self._whole_at.popitem(last=False)
        return True


class PerSecond:
    """So many events a second, each key; bounded by the keys of one second. Times are seconds of any steady clock."""

    def __init__(self, many: int) -> None:
        self._many = many
        self._second = 0
        self._counts: dict[Hashable, int] = {}

    def allows(self, key: Hashable, now: float) -> bool:
        """Counts one; False: it is one too many."""
        if int(now) != self._second:
            self._second, self._counts = int(now), {}
        count = self._counts[key] = self._counts.get(key, 0) + 1
        return count <= self._many
