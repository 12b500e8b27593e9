"""Which gateway devices stand behind: from the store, and from the copies in Redis while the store is away, so that
sub-devices that were there lately log in all the same."""

import logging
from collections.abc import Mapping, Sequence

from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.topology import Binding
from thinghub.device_registry.errors import StoreUnavailable
from thinghub.device_registry.ports.topology import BindingCache, TopologyStore


class Bindings:
    def __init__(self, store: TopologyStore, cache: BindingCache, log: logging.Logger) -> None:
        self._store = store
        self._cache = cache
        self._log = log

    async def of(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Binding]:
        """Of those that stand behind a gateway. Raises StoreUnavailable when the store is away and of one of them there
        is no copy."""
        if not devices:
            return {}
        try:
            found = await self._store.bindings(devices)
        except StoreUnavailable:
            return await self._cached(list(dict.fromkeys(devices)))
        await self.remember(found)
        return found

    async def _cached(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Binding]:
        cached = await self._cache.get(devices)
        if len(cached) < len(devices):
            raise StoreUnavailable("the store is away and not every device is in the cache")
        return cached

    async def remember(self, bindings: Mapping[DeviceId, Binding]) -> None:
        """That Redis is away is no reason to fail: the next reading fills it."""
        try:
            if bindings:
                await self._cache.put(bindings)
        except StoreUnavailable:
            self._log.debug("the copies of topology could not be written")
