"""Deletions: what devices acknowledged, taken from their queues in batches. It is kept until that is done."""

import asyncio
from collections.abc import Callable

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.ports import Queues

BATCH = 500
# Until a device whose store is away is tried again.
RETRY_SECONDS = 1.0


class Deletions:
    """`wake` is called when there is something to write. Bounded by what is under way to devices."""

    def __init__(self, queues: Queues, wake: Callable[[], None]) -> None:
        self._queues = queues
        self._wake = wake
        self._due: dict[Device, list[int]] = {}
        self._failed: set[Device] = set()

    def add(self, device: Device, sequence: int) -> None:
        self._due.setdefault(device, []).append(sequence)
        self._wake()

    def failed(self, device: Device) -> bool:
        """Something of the device could not be deleted, and would be found in its queue."""
        return device in self._failed

    async def write(self) -> None:
        """Writes what is due, a batch of devices at most."""
        devices = [device for device in self._due if device not in self._failed][:BATCH]
        batch = [(device, list(self._due[device])) for device in devices]
        for (device, sequences), done in zip(batch, await self._queues.drop(batch), strict=True):
            if not done:
                self._failed.add(device)
                asyncio.get_running_loop().call_later(RETRY_SECONDS, self._again, device)
                continue
            del self._due[device][: len(sequences)]
            if not self._due[device]:
                del self._due[device]
        if len(devices) == BATCH:
            self._wake()

    async def settled(self, devices: set[Device], deadline: float) -> None:
        """Waits until nothing of these devices is due, no longer than `deadline` seconds."""
        until = asyncio.get_running_loop().time() + deadline
        while not devices.isdisjoint(self._due) and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.002)

    def _again(self, device: Device) -> None:
        self._failed.discard(device)
        self._wake()
