"""Settings of shadow: environment THINGHUB_SHADOW_*, for the shared ones also THINGHUB_*."""

from typing import ClassVar, Literal

from pydantic import Field

from thinghub.common.settings import ServiceSettings


class Settings(ServiceSettings, env_prefix="THINGHUB_SHADOW_"):
    parts: ClassVar[tuple[str, ...]] = ("redis", "postgres", "bus")

    rpc_listen: str = Field("127.0.0.1:9105", description="host:port or unix:///path")
    gateway_target: str = Field("127.0.0.1:9103", description="gRPC target of the connection-gateways, any or all")
    registry_target: str = Field("127.0.0.1:9102", description="gRPC target of device-registry")
    history_days: int = Field(30, ge=2, le=3650, description="how long posts of properties and events are kept")
    max_records: int = Field(20, ge=1, le=500, description="bus records handled in one go")
    document_requests_per_second: int = Field(20, ge=0, description="shadow requests of one device; 0: no limit")
    document_cache_bytes: int = Field(8 << 20, ge=0, description="documents remembered, as JSON")
    document_rate_mode: Literal["enforce", "observe"] = Field("enforce", description="observe: count, do not refuse")
