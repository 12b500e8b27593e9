"""The outbox: announcements are rows written with the change they announce, and told to the bus afterwards.

So a change is never stored untold, nor told unstored: told at least once, in order, however long the bus is away. One
process at a time takes entries; its deletion of them is committed after the bus has acknowledged.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Never

from thinghub.common.errors import Fault
from thinghub.device_protocol.records import Message
from thinghub.device_registry.domain.announcements import (
    DeviceAnnounced,
    OutboxEntry,
    PolicyAnnounced,
    ThingModelAnnounced,
    TopologyAnnounced,
    lifecycle_message,
    topology_message,
)
from thinghub.device_registry.domain.policies import Policy
from thinghub.device_registry.ports.others import Announcer
from thinghub.device_registry.ports.store import OutboxStore, Policies
from thinghub.device_registry.service.policies import PolicyReader

BATCH = 500
POLL_S = 1.0
BACKOFF_S = 5.0
PURGE_EVERY_S = 3600.0
# Longer than the bus keeps a lifecycle message, so that a late one still meets the epoch of the device it was about.
KEEP_DELETED_MS = 2 * 24 * 3600 * 1000


class Outbox:
    """`clock_ms` gives epoch milliseconds, for the versions of deleted policies and the age of what is purged."""

    def __init__(
        self,
        store: OutboxStore,
        policies: Policies,
        reader: PolicyReader,
        announcer: Announcer,
        clock_ms: Callable[[], int],
        log: logging.Logger,
    ) -> None:
        self._store = store
        self._policies = policies
        self._reader = reader
        self._announcer = announcer
        self._clock_ms = clock_ms
        self._log = log
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There is something new."""
        self._woken.set()

    async def run(self) -> Never:
        pause, purged = POLL_S, 0.0
        while True:
            self._woken.clear()
            try:
                while await self.drain() == BATCH:
                    pass
                pause = POLL_S
                purged = await self._purge(purged)
            except Fault as error:
                pause = min(pause * 2, BACKOFF_S)
                self._log.debug("the outbox waits: %s", error)
            await self._wait(pause)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _purge(self, purged: float) -> float:
        now = asyncio.get_running_loop().time()
        if now - purged < PURGE_EVERY_S:
            return purged
        await self._store.purge(self._clock_ms() - KEEP_DELETED_MS)
        return now

    async def drain(self) -> int:
        """Tells the oldest entries; how many. Raises a Fault when the store or the bus is away."""
        async with self._store.taking(BATCH) as entries:
            await self._tell_policies(entries)
            await self._tell_models(entries)
            await self._tell_devices(entries)
            return len(entries)

    async def _tell_devices(self, entries: Sequence[OutboxEntry]) -> None:
        messages = [message for entry in entries if (message := _message(entry))]
        if messages:
            await self._announcer.lifecycle(messages)

    async def _tell_models(self, entries: Sequence[OutboxEntry]) -> None:
        announced = (entry.announcement for entry in entries)
        # The last of a product's: who hears of it fetches that one or a later one.
        newest = {one.product_key: one.version for one in announced if isinstance(one, ThingModelAnnounced)}
        for product_key, version in newest.items():
            await self._announcer.thing_model_changed(product_key, version)

    async def _tell_policies(self, entries: Sequence[OutboxEntry]) -> None:
        announced = (entry.announcement for entry in entries)
        keys = list(dict.fromkeys(one.product_key for one in announced if isinstance(one, PolicyAnnounced)))
        if not keys:
            return
        found = await self._policies.find(keys)
        policies = [found.get(key) or self._gone(key) for key in keys]
        await self._reader.remember(policies)
        for policy in policies:
            await self._announcer.policy_changed(policy.product_key, policy.version, deleted=not policy.found)

    def _gone(self, product_key: str) -> Policy:
        # Versions are epoch microseconds or more (see the store), so now comes after all that the product had.
        return Policy(product_key, found=False, version=self._clock_ms() * 1000)


def _message(entry: OutboxEntry) -> Message | None:
    """Of the announcements that go to `device.lifecycle`."""
    if isinstance(entry.announcement, DeviceAnnounced):
        return lifecycle_message(entry.id, entry.announcement)
    if isinstance(entry.announcement, TopologyAnnounced):
        return topology_message(entry.id, entry.announcement)
    return None
