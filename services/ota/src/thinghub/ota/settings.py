"""Settings of ota: environment THINGHUB_OTA_*, for the shared ones also THINGHUB_*."""

from typing import ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from thinghub.common.settings import ServiceSettings


class Settings(ServiceSettings, env_prefix="THINGHUB_OTA_"):
    parts: ClassVar[tuple[str, ...]] = ("postgres", "bus")

    rpc_listen: str = Field("127.0.0.1:9106", description="host:port or unix:///path")
    registry_target: str = Field("127.0.0.1:9102", description="gRPC target of device-registry")
    gateway_target: str = Field("127.0.0.1:9103", description="gRPC target of the connection-gateways, any or all")
    listen_host: str = Field("127.0.0.1", description="address of the package port, which speaks HTTP and HTTPS")
    listen_port: int = Field(8081, ge=0, le=65535, description="0: any free port")
    tls_cert_file: str = Field("", description="PEM chain; empty: the port speaks plain HTTP only")
    tls_key_file: str = ""
    public_url: str = Field(
        "", description="how devices and clients reach the package port, http:// or https://; empty: http and the port"
    )
    packages_url: str = Field(
        "ota-packages",
        description="a directory that replicas share, or s3://bucket/prefix?endpoint=https://host&region=r",
    )
    s3_access_key_id: str = Field("", description="empty: as AWS clients find it (AWS_* variables, web identity, role)")
    s3_secret_access_key: SecretStr = SecretStr("")
    s3_ca_file: str = Field("", description="PEM certificates that are trusted besides those of the system")
    s3_timeout_seconds: float = Field(20.0, ge=1, le=300, description="of one request; the largest carries 5 MiB")
    max_package_bytes: int = Field(1 << 30, ge=1, le=48 << 30, description="largest package")
    upload_seconds: int = Field(3600, ge=1, le=86_400, description="how long an upload's policy holds")
    download_seconds: int = Field(86_400, ge=1, le=604_800, description="how long a download URL holds")
    max_connections: int = Field(2000, ge=1, le=100_000, description="connections of the package port")
    resend_seconds: float = Field(
        10.0, ge=0, le=600, description="a device that returns in the middle of an upgrade may name its version first"
    )
    retry_seconds: float = Field(30.0, gt=0, le=3600, description="pause before an unacknowledged push is repeated")

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("give both tls_cert_file and tls_key_file, or neither")
        if self.public_url and not self.public_url.startswith(("http://", "https://")):
            raise ValueError("public_url begins with http:// or https://")
        return self

    @model_validator(mode="after")
    def _key_is_whole(self) -> Self:
        if bool(self.s3_access_key_id) != bool(self.s3_secret_access_key.get_secret_value()):
            raise ValueError("give both s3_access_key_id and s3_secret_access_key, or neither")
        return self
