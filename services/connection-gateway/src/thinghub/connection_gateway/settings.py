"""Settings of the connection gateway: environment THINGHUB_CONNECTION_GATEWAY_*, for the shared ones also
THINGHUB_*."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from thinghub.common.settings import ServiceSettings


class Settings(ServiceSettings, env_prefix="THINGHUB_CONNECTION_GATEWAY_"):
    parts: ClassVar[tuple[str, ...]] = ("redis", "bus")

    rpc_listen: str = Field("127.0.0.1:9103", description="host:port or unix:///path")
    mqtt_host: str = Field("0.0.0.0", description="address that devices connect to")
    mqtt_port: int = Field(
        1883, ge=-1, le=65535, description="TCP and TLS, told apart by the first byte; 0 any, -1 none"
    )
    mqtts_port: int = Field(8883, ge=-1, le=65535, description="TLS only; 0 any, -1 none; needs tls_cert_file")
    tls_cert_file: str = Field("", description="file of the certificate chain, PEM")
    tls_key_file: str = Field("", description="file of its private key, PEM")

    auth_target: str = Field("127.0.0.1:9101", description="auth's gRPC address")
    registry_target: str = Field("127.0.0.1:9102", description="device-registry's gRPC address")
    rpc_advertise: str = Field("", description="address that other services dial; default: the one bound")

    lease_seconds: float = Field(30.0, ge=1, le=600, description="longer than a failover of Redis")
    reassert_per_second: int = Field(2000, ge=1, description="own claims compared in a second after an outage of Redis")
    claims_check_seconds: float = Field(300.0, ge=1, description="pause between comparisons of own claims without one")
    connects_per_minute: int = Field(5, ge=0, description="authenticated connects of one device; 0: no limit")
    connects_enforce: bool = Field(True, description="false: count what would be refused")
    failures_per_minute: int = Field(600, ge=0, description="failed connects of one address; 0: no limit")
    remembered_per_second: int = Field(
        500, ge=0, description="connects and closes kept for support at most, refusals a fifth; 0: none"
    )
    max_sub_devices: int = Field(1500, ge=0, le=2000, description="sub-devices online behind one gateway device")
    max_sessions: int = Field(60000, ge=1, description="with sub-devices; more of these are told to try again")
    sub_devices_per_second: int = Field(
        200, ge=0, description="log-ins and log-outs done for one gateway device; 0: no limit"
    )
    policy_check_seconds: float = Field(
        300.0, ge=1, description="pause between comparisons of policy versions, and of topology"
    )

    max_connections: int = Field(18000, ge=1, description="more are not accepted")
    refuse_above_bytes: int = Field(
        0, ge=0, description="held for traffic; then connects are refused and the slowest readers closed; 0: no ceiling"
    )
    max_inflight_downlinks: int = Field(50000, ge=1, description="messages under way to all devices")
    max_inflight_requests: int = Field(10000, ge=1, description="RRPC calls that wait for their device")
    broadcast_per_second: int = Field(10000, ge=1, description="devices a broadcast is sent to in a second")
    broadcast_all_seconds: int = Field(60, ge=0, description="between two broadcasts to all of a product; 0: no limit")
    broadcast_topic_seconds: int = Field(1, ge=0, description="between two broadcasts to a topic; 0: no limit")
    session_keep_seconds: int = Field(
        604_800, ge=1, le=31_536_000, description="a persistent session and its queue after its last connection"
    )
    queue_messages: int = Field(1000, ge=1, le=100_000, description="queued for one device; then the oldest gives way")
    queue_bytes: int = Field(8 << 20, ge=262_144, description="of payload queued for one device")
    queue_seconds: int = Field(604_800, ge=1, le=604_800, description="longest a message is queued; contract: 7 days")
    queue_window: int = Field(50, ge=1, le=100, description="queued messages under way to one device")
    max_inflight_queued: int = Field(100_000, ge=1, description="queued messages under way to all devices")
    max_inflight_queued_bytes: int = Field(256 << 20, ge=1 << 20, description="their payloads in memory")
    acknowledge_seconds: int = Field(
        60, ge=1, description="for a PUBACK of a device; a persistent session's connection is closed after it"
    )
    record_linger_ms: int = Field(5, ge=0, le=1000, description="a record waits for more messages")
    record_timeout_ms: int = Field(
        30000, ge=1000, description="for the bus to store a record, then its devices are closed"
    )
    keep_alive_min_s: int = Field(30, ge=0, description="shortest keep-alive of a device; contract: 30")
    keep_alive_max_s: int = Field(1200, ge=1, description="longest; contract: 1200")

    @property
    def sampled_every(self) -> int:
        """One message in so many is traced; 0: none."""
        return round(1 / self.trace_ratio) if self.trace_ratio else 0

    @model_validator(mode="after")
    def _certificate_and_key_come_together(self) -> Self:
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise ValueError("give both tls_cert_file and tls_key_file, or neither")
        return self
