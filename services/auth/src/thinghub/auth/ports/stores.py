"""What auth needs of its stores. Every call has a deadline of its own and raises StoreUnavailable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from thinghub.auth.domain.access import StoredAccessKey
from thinghub.auth.domain.devices import Credential, DeviceId
from thinghub.auth.domain.named_secrets import NamedSecret, StoredSecret
from thinghub.auth.domain.sealing import Sealed


@dataclass(frozen=True, slots=True)
class Candidate:
    """A credential to store. `keep`: a live one keeps the secret that it has."""

    device: DeviceId
    iot_id: str
    disabled: bool
    sealed: Sealed
    keep: bool


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of changes."""

    version: int
    device: DeviceId


class DeviceCredentials(Protocol):
    """The truth. Every change of a device raises its version."""

    async def find(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Credential]:
        """Deleted ones included while they are kept."""

    async def put(self, candidates: Sequence[Candidate]) -> Mapping[DeviceId, Credential]: ...

    async def set_enabled(self, devices: Sequence[DeviceId], enabled: bool) -> Sequence[Credential]:
        """Unknown devices are left out."""

    async def delete(self, devices: Sequence[DeviceId]) -> Sequence[Credential]:
        """Those it knew, deleted."""

    async def changed_after(self, position: Position, limit: int) -> Sequence[Credential]:
        """In the order of change; a change shows up within seconds of its version's time."""

    async def forget_former(self, now_ms: int, limit: int) -> Sequence[Credential]:
        """Deletes former secrets whose time is over, at most so many; their credentials."""

    async def purge_deleted(self, before_version: int) -> int: ...


class CredentialCache(Protocol):
    """Copies of sealed credentials, by version, that outlive an absence of the truth."""

    async def get(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Credential]:
        """What it has and can say in a second; never raises for being away."""

    async def put(self, credentials: Sequence[Credential]) -> None:
        """A version never replaces a newer one."""


class ProductSecrets(Protocol):
    async def put(self, product_key: str, sealed: Sealed, keep: bool) -> Sealed:
        """The secret in force; with `keep` an existing one stays."""

    async def find(self, product_keys: Sequence[str]) -> Mapping[str, Sealed]: ...
    async def delete(self, product_key: str) -> None: ...


class AccessKeys(Protocol):
    async def find(self, access_key_id: str) -> StoredAccessKey | None: ...

    async def create(self, stored: StoredAccessKey) -> None:
        """Raises AccessKeyExists."""

    async def create_first(self, stored: StoredAccessKey) -> bool:
        """Creates it unless there is an administrator of every instance, or the id exists."""

    async def list(self, after: str, limit: int) -> Sequence[StoredAccessKey]: ...
    async def delete(self, access_key_id: str) -> bool: ...


class Nonces(Protocol):
    async def use(self, access_key_id: str, nonce: str, seconds: int) -> bool:
        """False when it was used within `seconds`."""


class NamedSecrets(Protocol):
    async def put(self, instance_id: str, name: str, sealed: Sealed) -> int:
        """The new version."""

    async def list(self, instance_id: str, after: str, limit: int) -> Sequence[NamedSecret]: ...
    async def delete(self, instance_id: str, name: str) -> bool: ...
    async def find(self, instance_id: str, names: Sequence[str]) -> Mapping[str, StoredSecret]: ...
