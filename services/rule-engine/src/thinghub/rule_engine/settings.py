"""Settings of the rule engine: environment THINGHUB_RULE_ENGINE_*, for the shared ones also THINGHUB_*."""

from ipaddress import IPv4Network, IPv6Network
from typing import ClassVar

from pydantic import Field

from thinghub.common.settings import ServiceSettings


class Settings(ServiceSettings, env_prefix="THINGHUB_RULE_ENGINE_"):
    parts: ClassVar[tuple[str, ...]] = ("postgres", "bus")

    rpc_listen: str = Field("127.0.0.1:9104", description="host:port or unix:///path")
    auth_target: str = Field("127.0.0.1:9101", description="gRPC of auth, for secrets that actions name")
    registry_target: str = Field("127.0.0.1:9102", description="gRPC of device-registry: whose a product is")
    gateway_target: str = Field("127.0.0.1:9103", description="gRPC of any connection-gateway, for REPUBLISH")
    max_records: int = Field(64, ge=1, le=1000, description="bus records of a partition taken at once")
    queue_outputs: int = Field(50_000, ge=1, description="outputs of one action in flight before more go to the bus")
    batch_outputs: int = Field(1000, ge=1, le=10_000, description="outputs of one action in one sink call")
    hold_seconds: float = Field(
        2.0, gt=0, le=60, description="how long records wait for a sink before outputs are parked"
    )
    sink_seconds: float = Field(5.0, gt=0, le=60, description="deadline of one connect or statement of a sink")
    fc_networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description="networks that FC actions may reach although they are loopback, link-local or a cloud's metadata, "
        'as JSON: ["127.0.0.0/8"]',
    )
    fc_connections: int = Field(16, ge=1, le=200, description="connections of one FC action to its function")
    refused_seconds: tuple[float, float, float] = Field(
        (1.0, 3.0, 10.0), description="pauses before what a sink refused is tried again"
    )
    outage_seconds: float = Field(60.0, gt=0, le=3600, description="pause between tries while a sink is away")
    reload_seconds: float = Field(
        30.0, gt=0, le=3600, description="how often rules are read when nothing was announced"
    )
    dead_letter_days: float = Field(7.0, gt=0, le=365, description="how long dead letters are kept to be looked at")
    dead_letters_kept: int = Field(100_000, ge=1, description="of all rules; the oldest beyond these are removed")
