"""Settings of device-registry: environment THINGHUB_DEVICE_REGISTRY_*, for the shared ones also THINGHUB_*."""

from typing import ClassVar

from pydantic import Field

from thinghub.common.settings import ServiceSettings


class Settings(ServiceSettings, env_prefix="THINGHUB_DEVICE_REGISTRY_"):
    parts: ClassVar[tuple[str, ...]] = ("redis", "postgres", "bus")

    rpc_listen: str = Field("127.0.0.1:9102", description="host:port or unix:///path")
    auth_target: str = Field("127.0.0.1:9101", description="gRPC target of auth")
    gateway_target: str = Field("127.0.0.1:9103", description="gRPC target of the connection-gateways, any or all")
    sub_devices_per_gateway: int = Field(1500, ge=1, le=2000, description="most that may stand behind one gateway")
    sweep_seconds: float = Field(300.0, gt=0, description="between two comparisons of statuses with sessions")
    sweep_again_seconds: float = Field(15.0, gt=0, description="until what disagrees is looked at again and repaired")
    sweep_per_second: int = Field(1000, ge=1, description="devices compared in a second")
    products_per_instance: int = Field(0, ge=0, description="0: no limit")
