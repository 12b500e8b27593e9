"""Policies for the gateways: from the store, and from the cache while the store is away."""

import logging
from collections.abc import Mapping, Sequence

from thinghub.device_registry.domain.policies import Policy
from thinghub.device_registry.errors import RequestInvalid, StoreUnavailable
from thinghub.device_registry.ports.store import Policies, PolicyCache

MAX_KEYS = 1000


class PolicyReader:
    def __init__(self, store: Policies, cache: PolicyCache, log: logging.Logger) -> None:
        self._store = store
        self._cache = cache
        self._log = log

    async def get(self, product_keys: Sequence[str]) -> list[Policy]:
        """One a key, in order. Raises StoreUnavailable when the store is away and the cache lacks one of them."""
        if len(product_keys) > MAX_KEYS or any(len(key) > 128 or "\0" in key for key in product_keys):
            raise RequestInvalid(f"a batch has at most {MAX_KEYS} product keys")
        wanted = list(dict.fromkeys(product_keys))
        try:
            found = await self._store.find(wanted)
        except StoreUnavailable:
            found = await self._cached(wanted)
        else:
            await self.remember(list(found.values()))
        return [found.get(key) or Policy(key, found=False, version=0) for key in product_keys]

    async def _cached(self, wanted: Sequence[str]) -> Mapping[str, Policy]:
        cached = await self._cache.get(wanted)
        if len(cached) < len(wanted):
            raise StoreUnavailable("the store is away and not every policy is in the cache")
        return cached

    async def remember(self, policies: Sequence[Policy]) -> None:
        """Fills the cache; that it is away is no reason to fail, the next reading fills it."""
        try:
            if policies:
                await self._cache.put(policies)
        except StoreUnavailable:
            self._log.debug("the policy cache could not be filled")
