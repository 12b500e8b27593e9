"""Settings of api-gateway: environment THINGHUB_API_GATEWAY_*, for the shared ones also THINGHUB_*."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from thinghub.common.settings import ServiceSettings


class Settings(ServiceSettings, env_prefix="THINGHUB_API_GATEWAY_"):
    parts: ClassVar[tuple[str, ...]] = ("redis",)

    listen_host: str = Field("127.0.0.1", description="address of the API port, which speaks HTTP and HTTPS")
    listen_port: int = Field(8080, ge=0, le=65535, description="0: any free port")
    tls_cert_file: str = Field("", description="PEM chain; empty: the port speaks plain HTTP only")
    tls_key_file: str = ""
    host_id: str = Field("", description="HostId of error answers; empty: the Host header of the request")
    auth_target: str = Field("127.0.0.1:9101", description="host:port or unix:///path")
    registry_target: str = Field("127.0.0.1:9102", description="host:port or unix:///path")
    gateway_target: str = Field("127.0.0.1:9103", description="host:port (a name with all gateways) or unix:///path")
    rules_target: str = Field("127.0.0.1:9104", description="host:port or unix:///path")
    ota_target: str = Field("127.0.0.1:9106", description="host:port or unix:///path")
    shadow_target: str = Field("127.0.0.1:9105", description="host:port or unix:///path")
    max_connections: int = Field(2000, ge=1, le=100_000)
    trust_traceparent: bool = Field(False, description="follow the traceparent header that callers send")
    call_seconds: float = Field(15.0, gt=0, le=300, description="bound of one call")

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("give both tls_cert_file and tls_key_file, or neither")
        return self
