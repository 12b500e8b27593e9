"""Which gateway devices stand behind: from the store, and from the copies in Redis while the store is away, so that
sub-devices that were there lately log in all the same. Others ask every few seconds, so what was copied is remembered
for a while, and not copied again."""

import logging
from collections.abc import Callable, Mapping, Sequence

from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.topology import Binding
from thinghub.device_registry.errors import StoreUnavailable
from thinghub.device_registry.ports.topology import BindingCache, BindingSource

COPIED_S = 3600.0
MAX_COPIED = 200_000


class Bindings:
    """`clock` gives seconds that only rise."""

    def __init__(
        self, store: BindingSource, cache: BindingCache, clock: Callable[[], float], log: logging.Logger
    ) -> None:
        self._store = store
        self._cache = cache
        self._clock = clock
        self._log = log
        self._copied: dict[DeviceId, tuple[Binding, float]] = {}

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
        now = self._clock()
        new = {device: binding for device, binding in bindings.items() if not self._is_copied(device, binding, now)}
        if not new:
            return
        try:
            await self._cache.put(new)
        except StoreUnavailable:
            self._log.debug("the copies of topology could not be written")
            return
        if len(self._copied) + len(new) > MAX_COPIED:
            self._copied.clear()
        self._copied.update((device, (binding, now + COPIED_S)) for device, binding in new.items())

    def _is_copied(self, device: DeviceId, binding: Binding, now: float) -> bool:
        copied, until = self._copied.get(device, (None, 0.0))
        return copied == binding and now < until
