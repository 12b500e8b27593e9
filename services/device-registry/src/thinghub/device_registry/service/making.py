"""Many devices made in one transaction: rows, credentials, announcements.

As for one device the rows come first, so that of two callers with one name only the one that has it reaches auth. auth
keeps a secret that is there, so making a batch again after a process ended in the middle leaves its secrets alone.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from thinghub.common.errors import Unavailable
from thinghub.device_registry.domain.announcements import DeviceAnnounced, Lifecycle
from thinghub.device_registry.domain.applications import Entry
from thinghub.device_registry.domain.devices import Device, DeviceId
from thinghub.device_registry.ports.others import Connections, Credentials, NewCredential
from thinghub.device_registry.ports.store import Unit


class Maker:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(
        self, credentials: Credentials, connections: Connections, clock_ms: Callable[[], int], log: logging.Logger
    ) -> None:
        self._credentials = credentials
        self._connections = connections
        self._clock_ms = clock_ms
        self._log = log

    async def make(
        self, unit: Unit, entries: Sequence[Entry], secrets: Mapping[DeviceId, str] | None = None
    ) -> frozenset[DeviceId]:
        """Those that were made; the others' names are taken. Secrets that are not given are generated."""
        now, given = self._clock_ms(), secrets or {}
        devices = [
            Device(one.device, one.iot_id, one.nickname, created_ms=now, modified_ms=now, sn=one.sn) for one in entries
        ]
        inserted = await unit.insert_devices(devices)
        made = [device for device in devices if device.id in inserted.devices]
        if made:
            await self._credentials.put_devices(
                [NewCredential(device.id, device.iot_id, given.get(device.id, "")) for device in made]
            )
        if inserted.came_back:
            await self._unbar(inserted.came_back)
        await unit.announce_all([DeviceAnnounced(one.id, Lifecycle.CREATE, one.iot_id, now) for one in made])
        return inserted.devices

    async def _unbar(self, devices: Sequence[DeviceId]) -> None:
        try:
            await self._connections.unbar_all(devices)
        except Unavailable:
            self._log.warning("%d devices registered anew stay barred for a minute: no gateway answered", len(devices))
