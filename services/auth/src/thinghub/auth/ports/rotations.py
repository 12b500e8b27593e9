"""What rotation needs of the store of device credentials. Every call raises StoreUnavailable."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from thinghub.auth.domain.devices import Credential, DeviceId
from thinghub.auth.domain.rotation import Rotation
from thinghub.auth.domain.sealing import Sealed


class RotatedSecrets(Protocol):
    async def find(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Credential]: ...

    async def rotate(self, device: DeviceId, expected: Sealed, new: Sealed, rotation: Rotation) -> Credential | None:
        """None when the secret in force is another than `expected` by now."""

    async def finish(self, device: DeviceId, now_ms: int) -> Credential | None:
        """The former secret is gone; one that had ended already keeps its time."""

    async def take_back(self, device: DeviceId, now_ms: int) -> Credential | None:
        """The former secret is the one in force, and there was no rotation; None when it had ended."""

    async def adopt(self, devices: Mapping[DeviceId, int], now_ms: int) -> Sequence[Credential]:
        """Marks those whose rotation began at the given moment and that were not marked before."""
