"""ota running in the test's own loop beside auth and device-registry, on the session's PostgreSQL and Redis (its bus as
well)."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import grpc
import pytest

from tests.support.auth_service import auth_starter
from tests.support.ota_service import Fleet, Gateway
from tests.support.registry_service import Registry, registry_starter
from tests.support.servers import S3Server
from thinghub.all_in_one.embedded import certificates
from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus, TopicSpec
from thinghub.common.rpc import channel, serve_rpc
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bus_topics import specs
from thinghub.ota.app import serve
from thinghub.ota.settings import Settings
from thinghubpb.gateway.v1 import gateway_pb2_grpc
from thinghubpb.ota.v1 import ota_pb2_grpc

StartOta = Callable[..., Awaitable[str]]


@pytest.fixture
def shared(postgres_dsn: str, redis_url: str, prefix: str) -> dict[str, object]:
    return {
        "postgres_dsn": postgres_dsn,
        "redis_url": redis_url,
        "redis_prefix": prefix,
        "bus_url": f"streams+{redis_url}",
        "bus_prefix": prefix,
    }


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    gateway = Gateway()  # type: ignore[abstract]  # the other calls answer UNIMPLEMENTED
    async with serve_rpc(
        f"unix://{tmp_path}/gateway",
        lambda server: gateway_pb2_grpc.add_GatewayServiceServicer_to_server(gateway, server),
        Runtime.for_tests("connection-gateway"),
    ):
        yield gateway


@pytest.fixture
async def bus(shared: dict[str, object]) -> AsyncIterator[Bus]:
    opened = await open_bus(str(shared["bus_url"]), str(shared["bus_prefix"]), Runtime.for_tests("test"))
    await opened.ensure_topics([TopicSpec(**{**asdict(spec), "partitions": 2}) for spec in specs()])
    yield opened
    await opened.close()


@contextlib.asynccontextmanager
async def running(serving: Awaitable[None], runtime: Runtime) -> AsyncIterator[None]:
    task = asyncio.ensure_future(serving)
    try:
        await asyncio.wait_for(runtime.health.wait_ready(), 30)
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def registry(
    shared: dict[str, object], prefix: str, tmp_path: Path, gateway: Gateway, bus: Bus
) -> AsyncIterator[Registry]:
    schema = prefix.strip(".")
    servers = {"postgres_dsn": shared["postgres_dsn"], "redis_url": shared["redis_url"]}
    own = {"postgres_schema": f"registry_{schema}", "gateway_target": f"unix://{tmp_path}/gateway"}
    async with (
        auth_starter(tmp_path, postgres_schema=f"auth_{schema}", redis_prefix=prefix, **servers) as start_auth,
        registry_starter(tmp_path, **shared, **own) as start_registry,
    ):
        auth = await start_auth()
        yield await start_registry(rpc_listen=f"unix://{tmp_path}/registry", auth_target=auth.target)


@pytest.fixture
def packages_place(request: pytest.FixtureRequest, prefix: str, tmp_path: Path) -> dict[str, object]:
    """A directory; indirect parameters may name `s3`, the session's, or `private_s3`."""
    if (kind := getattr(request, "param", "directory")) == "directory":
        return {"packages_url": str(tmp_path / "packages")}
    server: S3Server = request.getfixturevalue({"s3": "s3_server"}.get(kind, kind))
    return {**server.settings(prefix.strip("."))}


@pytest.fixture
def ota_settings(
    shared: dict[str, object], prefix: str, tmp_path: Path, packages_place: dict[str, object]
) -> dict[str, object]:
    (tmp_path / "tls").mkdir()
    files = certificates.ensure(tmp_path / "tls")
    return {
        **shared,
        "postgres_schema": f"ota_{prefix.strip('.')}",
        "rpc_listen": f"unix://{tmp_path}/ota",
        "registry_target": f"unix://{tmp_path}/registry",
        "gateway_target": f"unix://{tmp_path}/gateway",
        "listen_port": 0,
        "tls_cert_file": str(files.chain),
        "tls_key_file": str(files.key),
        **packages_place,
        "resend_seconds": 0.5,
        "retry_seconds": 0.5,
    }


@pytest.fixture
def runtimes() -> list[Runtime]:
    """One for each time that ota was started."""
    return []


@pytest.fixture
async def start_ota(
    ota_settings: dict[str, object], registry: Registry, runtimes: list[Runtime]
) -> AsyncIterator[StartOta]:
    """Starts ota with these settings besides the usual ones; gives its gRPC target."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**given: object) -> str:
            runtimes.append(runtime := Runtime.for_tests("ota"))
            settings = Settings(**{**ota_settings, **given})  # type: ignore[arg-type]  # checked by pydantic
            await stack.enter_async_context(running(serve(settings, runtime), runtime))
            return settings.rpc_listen

        yield start


@pytest.fixture
async def ota_channel(start_ota: StartOta) -> AsyncIterator[grpc.aio.Channel]:
    async with channel(await start_ota()) as opened:
        yield opened


@pytest.fixture
async def fleet(ota_channel: grpc.aio.Channel, registry: Registry, bus: Bus, gateway: Gateway) -> Fleet:
    product = await registry.product(f"p_{secrets.token_hex(6)}")
    return Fleet(ota_pb2_grpc.OtaServiceStub(ota_channel), registry, bus, gateway, product.product_key)
