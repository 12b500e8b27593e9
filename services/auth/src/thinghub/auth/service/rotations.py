"""Device secrets rotated, and what becomes of it.

The new secret is the device's from the moment of the rotation: who reads the secret reads the new one. The former one
stops by the clock of whoever judges, so it stops while every store is away too.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Never

from thinghub.auth.domain.devices import Credential, DeviceId, check_device, check_secret, generate_secret, place
from thinghub.auth.domain.rotation import Rotation, check_overlap
from thinghub.auth.domain.sealing import KeyRing, Sealed
from thinghub.auth.errors import DeviceNotFound, RequestInvalid, RotationNotFound, RotationUnderWay, StoreUnavailable
from thinghub.auth.ports.rotations import RotatedSecrets
from thinghub.auth.ports.stores import CredentialCache

MAX_BATCH = 2000
TRIES = 5
MAX_NOTED = 20_000
FLUSH_SECONDS = 1.0


class Rotations:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(
        self, store: RotatedSecrets, cache: CredentialCache, ring: KeyRing, clock_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._cache = cache
        self._ring = ring
        self._clock_ms = clock_ms

    async def rotate(self, device: DeviceId, secret: str, overlap_ms: int) -> tuple[str, Rotation]:
        """The new secret, given or generated, and the rotation. Raises DeviceNotFound; RotationUnderWay, unless it is
        the one that this call would begin."""
        check_device(device)
        check_secret(secret)
        check_overlap(overlap_ms)
        new = secret or generate_secret()
        for _ in range(TRIES):
            credential, in_force = await self._credential(device)
            now_ms = self._clock_ms()
            if credential.rotation and credential.rotation.under_way(now_ms):
                return await self._repeated(credential, in_force, secret)
            if self._ring.open(in_force, place(device)) == new:
                raise RequestInvalid("the new secret is the one in force")
            rotation = Rotation(now_ms, now_ms + overlap_ms, 0, in_force if overlap_ms else None)
            rotated = await self._store.rotate(device, in_force, self._ring.seal(new, place(device)), rotation)
            if rotated:
                await self._cache.put([rotated])
                return new, rotation
        raise StoreUnavailable("the credential changes too fast; repeat the call")

    async def _repeated(self, credential: Credential, in_force: Sealed, secret: str) -> tuple[str, Rotation]:
        assert credential.rotation is not None
        if not secret or self._ring.open(in_force, place(credential.device)) != secret:
            raise RotationUnderWay("another rotation of this device's secret is under way: finish it first")
        await self._cache.put([credential])
        return secret, credential.rotation

    async def finish(self, device: DeviceId, keep_former: bool) -> Rotation | None:
        """The rotation, ended; None when it was taken back. Raises DeviceNotFound, RotationNotFound."""
        check_device(device)
        credential, _ = await self._credential(device)
        now_ms, rotation = self._clock_ms(), credential.rotation
        if rotation is None or (keep_former and not rotation.under_way(now_ms)):
            raise RotationNotFound("no rotation of this device's secret is under way")
        ended = await (self._store.take_back(device, now_ms) if keep_former else self._store.finish(device, now_ms))
        if ended is None:
            raise RotationNotFound("no rotation of this device's secret is under way")
        await self._cache.put([ended])
        return ended.rotation

    async def get(self, devices: Sequence[DeviceId]) -> list[Rotation | None]:
        """One a device, in order."""
        if len(devices) > MAX_BATCH:
            raise RequestInvalid(f"a batch has at most {MAX_BATCH} entries")
        for device in devices:
            check_device(device)
        found = await self._store.find(devices)
        return [found[device].rotation if device in found else None for device in devices]

    async def _credential(self, device: DeviceId) -> tuple[Credential, Sealed]:
        credential = (await self._store.find([device])).get(device)
        if credential is None or credential.deleted or credential.sealed is None:
            raise DeviceNotFound("the device does not exist")
        return credential, credential.sealed


class Adoptions:
    """Devices seen with a new secret, written down in batches a second later. What cannot be noted, because too many
    wait, is noted at the device's next proof."""

    def __init__(
        self, store: RotatedSecrets, cache: CredentialCache, clock_ms: Callable[[], int], log: logging.Logger
    ) -> None:
        self._store = store
        self._cache = cache
        self._clock_ms = clock_ms
        self._log = log
        self._noted: dict[DeviceId, int] = {}

    def seen(self, device: DeviceId, rotation: Rotation) -> None:
        if len(self._noted) < MAX_NOTED:
            self._noted[device] = rotation.started_ms

    async def run(self) -> Never:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except StoreUnavailable:
                self._log.debug("devices seen with new secrets wait for the store")

    async def flush(self) -> None:
        """Raises StoreUnavailable; what was noted then stays."""
        while self._noted:
            batch = dict(list(self._noted.items())[:MAX_BATCH])
            marked = await self._store.adopt(batch, self._clock_ms())
            for device, started_ms in batch.items():
                if self._noted.get(device) == started_ms:
                    del self._noted[device]
            await self._cache.put(marked)
