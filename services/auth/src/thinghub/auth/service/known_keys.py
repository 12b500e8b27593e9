"""Access keys remembered for a few seconds, so that an API call does not cost a query.

A key deleted elsewhere is refused within `fresh_s`. While the store is away a remembered key stays good for `stale_s`:
deleting needs the store too, so nothing is missed but what happened in the moment of its loss.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from thinghub.auth.domain.access import StoredAccessKey, is_id
from thinghub.auth.errors import StoreUnavailable
from thinghub.auth.ports.stores import AccessKeys

MAX_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class _Remembered:
    stored: StoredAccessKey
    read_at: float


class KnownKeys:
    """`clock` is monotonic seconds."""

    def __init__(self, store: AccessKeys, clock: Callable[[], float], fresh_s: float, stale_s: float) -> None:
        self._store = store
        self._clock = clock
        self._fresh_s = fresh_s
        self._stale_s = stale_s
        self._known: OrderedDict[str, _Remembered] = OrderedDict()

    async def find(self, access_key_id: str) -> StoredAccessKey | None:
        """None when there is no such key. Raises StoreUnavailable."""
        if not is_id(access_key_id):
            return None
        known = self._known.get(access_key_id)
        now = self._clock()
        if known and now - known.read_at <= self._fresh_s:
            return known.stored
        try:
            stored = await self._store.find(access_key_id)
        except StoreUnavailable:
            if known and now - known.read_at <= self._stale_s:
                return known.stored
            raise
        self._remember(access_key_id, stored, now)
        return stored

    def _remember(self, access_key_id: str, stored: StoredAccessKey | None, now: float) -> None:
        self.forget(access_key_id)
        if stored is None:
            return
        self._known[access_key_id] = _Remembered(stored, now)
        while len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)

    def forget(self, access_key_id: str) -> None:
        self._known.pop(access_key_id, None)
