"""Subscriptions of persistent sessions: stored before their devices hear a SUBACK (invariants §4).

What comes while a batch is being stored is the next batch. A change that cannot be stored closes its connection, so
that the device comes again; it finds what it had before.
"""

import asyncio
from collections import deque
from collections.abc import Iterable

from thinghub.connection_gateway.domain.kept import Change
from thinghub.connection_gateway.ports import Connections, Count, Queues

BATCH = 500
MAX_WAITING = 20_000


class Subscriptions:
    def __init__(self, connections: Connections, queues: Queues, count: Count) -> None:
        self._connections = connections
        self._queues = queues
        self._count = count
        self._waiting: deque[tuple[int, Change]] = deque()
        self._wake = asyncio.Event()

    def submit(self, changes: Iterable[tuple[int, Change]]) -> None:
        """(token, change), those of one session in order; beyond the bound they fail at once."""
        refused = []
        for token, change in changes:
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append((token, change))
            else:
                refused.append(token)
        self._fail(refused)
        self._wake.set()

    def reject(self, tokens: Iterable[int]) -> None:
        """Changes of sessions that are not here any more."""
        self._connections.fail_subscriptions(list(tokens))

    async def run(self) -> None:
        """Stores what waits, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._store([self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))])

    def __len__(self) -> int:
        return len(self._waiting)

    async def _store(self, batch: list[tuple[int, Change]]) -> None:
        stored = await self._queues.change([change for _, change in batch])
        judged = [(token, done) for (token, _), done in zip(batch, stored, strict=True)]
        self._connections.confirm_subscriptions([token for token, done in judged if done])
        self._fail([token for token, done in judged if not done])

    def _fail(self, tokens: list[int]) -> None:
        for _ in tokens:
            self._count("subscriptions_not_stored")
        self._connections.fail_subscriptions(tokens)
