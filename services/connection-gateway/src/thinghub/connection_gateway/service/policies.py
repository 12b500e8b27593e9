"""Product policies: what devices of a product may do, fetched once and kept current.

Fetched with the first CONNECT of a product, again when the control topic says that it changed, and compared from time
to time in case that word was lost. The connection plane holds them and applies a new version to live sessions.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence

from thinghub.common.errors import Fault
from thinghub.connection_gateway.ports import Connections, PolicySource

BATCH = 200

log = logging.getLogger("thinghub.connection_gateway.policies")


class Policies:
    def __init__(self, source: PolicySource, connections: Connections) -> None:
        self._source = source
        self._connections = connections
        self._known: set[str] = set()
        self._fetching: dict[str, asyncio.Future[None]] = {}

    async def need(self, product_keys: Iterable[str]) -> set[str]:
        """Sees to it that the policies are held; returns the products that do not exist. Raises Unavailable."""
        wanted = set(product_keys)
        missing = [key for key in wanted if not self._connections.policy_version(key)]
        if missing:
            await self._fetch(missing)
        return {key for key in missing if not self._connections.policy_version(key)}

    async def changed(self, product_keys: Iterable[str]) -> None:
        """Fetches those that are held. Raises Unavailable; then the old ones stay."""
        concerned = {key for key in product_keys if key in self._known or key in self._fetching}
        # A fetch under way may have read the old version.
        under_way = [self._fetching[key] for key in concerned if key in self._fetching]
        if under_way:
            await asyncio.wait(under_way)
        await self._load(sorted(concerned))

    async def watch(self, pause: float) -> None:
        """Compares all held policies with the source, for ever."""
        while True:
            await asyncio.sleep(pause)
            try:
                await self.changed(set(self._known))
            except Fault as fault:
                log.warning("policies could not be compared: %s", fault)

    async def _fetch(self, product_keys: Sequence[str]) -> None:
        """One call for what nobody fetches yet; waits for the calls of others."""
        mine = [key for key in product_keys if key not in self._fetching]
        others = [self._fetching[key] for key in product_keys if key in self._fetching]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._fetching.update(dict.fromkeys(mine, done))
        try:
            await self._load(mine)
        finally:
            done.set_result(None)
            for key in mine:
                del self._fetching[key]
        if others:
            await asyncio.wait(others)

    async def _load(self, product_keys: Sequence[str]) -> None:
        for start in range(0, len(product_keys), BATCH):
            batch = product_keys[start : start + BATCH]
            for key, policy in zip(batch, await self._source.policies(batch), strict=True):
                if policy is None:
                    self._known.discard(key)
                    self._connections.drop_policy(key)
                else:
                    self._known.add(key)
                    self._connections.set_policy(policy)
