"""What the registry asks of other services and of the bus. Raises Unavailable."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from thinghub.device_protocol.records import Message
from thinghub.device_registry.domain.devices import DeviceId


@dataclass(frozen=True, slots=True)
class NewCredential:
    """An empty secret keeps what is there or is generated."""

    device: DeviceId
    iot_id: str
    secret: str = field(default="", repr=False)


class Credentials(Protocol):
    """auth. Every call may be repeated."""

    async def put_device(self, device: DeviceId, iot_id: str, secret: str) -> str:
        """The secret in force; an empty one keeps what is there or generates one."""

    async def put_devices(self, credentials: Sequence[NewCredential]) -> None: ...

    async def set_enabled(self, device: DeviceId, enabled: bool) -> None: ...
    async def delete_device(self, device: DeviceId) -> None: ...

    async def device_secrets(self, devices: Sequence[DeviceId]) -> Sequence[str]:
        """One a device, in order; empty when unknown."""

    async def put_product(self, product_key: str, secret: str) -> str: ...
    async def product_secret(self, product_key: str) -> str: ...
    async def delete_product(self, product_key: str) -> None: ...


class Connections(Protocol):
    """The connection gateways."""

    async def bar(self, device: DeviceId, seconds: int, reason: str) -> None:
        """Ends the device's session and refuses its connects for that long."""

    async def unbar(self, device: DeviceId) -> None: ...
    async def unbar_all(self, devices: Sequence[DeviceId]) -> None: ...


class Announcer(Protocol):
    """The bus. Returns when it is durable there."""

    async def lifecycle(self, messages: Sequence[Message]) -> None: ...
    async def policy_changed(self, product_key: str, version: int, deleted: bool) -> None: ...
    async def thing_model_changed(self, product_key: str, version: int) -> None: ...
