"""The API on a real socket, with the real owners behind it, each over gRPC: auth, device-registry, rule-engine, shadow.

Only the connection tier is the test's own, because its outcomes need devices: `Gateways` answers what a test
says.
"""

import asyncio
import datetime
import ipaddress
import secrets
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import thinghub.api_gateway.app
import thinghub.api_gateway.settings
import thinghub.auth.app
import thinghub.auth.settings
import thinghub.device_registry.app
import thinghub.device_registry.settings
import thinghub.ota.app
import thinghub.ota.settings
import thinghub.rule_engine.app
import thinghub.rule_engine.settings
import thinghub.shadow.app
import thinghub.shadow.settings
from tests.support.openapi import Key, OpenApi
from thinghub.common.bus import open_bus
from thinghub.common.bus.port import TopicSpec
from thinghub.common.errors import Unavailable
from thinghub.common.rpc import serve_rpc
from thinghub.common.runtime import Runtime
from thinghub.common.settings import load
from thinghub.device_protocol import bus_topics
from thinghubpb.gateway.v1 import gateway_pb2 as pb
from thinghubpb.gateway.v1 import gateway_pb2_grpc


class Gateways(gateway_pb2_grpc.GatewayServiceServicer):
    """A connection tier whose devices do what the test says. `away` makes every call Unavailable."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.away = False
        self.outcome = pb.OUTCOME_OFFLINE
        self.reply = pb.RequestResponse(code=pb.RequestResponse.CODE_OFFLINE)
        self.online: dict[str, pb.Session] = {}
        self.delivered: list[pb.Downlink] = []
        self.waits: list[int] = []
        self.requests: list[pb.RequestRequest] = []
        self.broadcasts: list[pb.BroadcastRequest] = []
        self.known: dict[str, pb.Explanation] = {}
        self.sampled_every = 0

    # Any: the generated base class has grpc's loose types for request context and answer
    async def Deliver(self, request: pb.DeliverRequest, context: Any) -> pb.DeliverResponse:
        self._check()
        self.delivered.extend(request.messages)
        self.waits.append(request.wait_ms)
        return pb.DeliverResponse(
            deliveries=[pb.Delivery(message_id=one.message_id, outcome=self.outcome) for one in request.messages]
        )

    async def Request(self, request: pb.RequestRequest, context: Any) -> pb.RequestResponse:
        self._check()
        self.requests.append(request)
        return self.reply

    async def Broadcast(self, request: pb.BroadcastRequest, context: Any) -> pb.BroadcastResponse:
        self._check()
        self.broadcasts.append(request)
        return pb.BroadcastResponse(sent=3, no_subscriber=2, failed=1, unreachable=["a gateway"])

    async def Kick(self, request: pb.KickRequest, context: Any) -> pb.KickResponse:
        self._check()
        return pb.KickResponse(results=[pb.KickResult(kicked=False) for _ in request.targets])

    async def GetSessions(self, request: pb.GetSessionsRequest, context: Any) -> pb.GetSessionsResponse:
        self._check()
        return pb.GetSessionsResponse(
            sessions=[self.online.get(device.device_name, pb.Session()) for device in request.devices]
        )

    async def Explain(self, request: pb.ExplainRequest, context: Any) -> pb.ExplainResponse:
        self._check()
        return pb.ExplainResponse(
            explanations=[self.known.get(device.device_name, pb.Explanation()) for device in request.devices],
            sampled_every=self.sampled_every,
        )

    async def Respond(self, request: pb.RespondRequest, context: Any) -> pb.RespondResponse:
        return pb.RespondResponse()

    def _check(self) -> None:
        if self.away:
            raise Unavailable("no gateway")


@dataclass
class Platform:
    """The running API. `api()` gives a signing client, `http` an unsigned one."""

    host: str
    port: int
    ca: Path
    key: Key
    gateways: Gateways
    http: httpx.AsyncClient
    _opened: list[OpenApi] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def https_url(self) -> str:
        return f"https://{self.host}:{self.port}"

    def api(self, face: str = "acs3", key: Key | None = None) -> OpenApi:
        self._opened.append(OpenApi(self.url, key or self.key, face=face))
        return self._opened[-1]

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    async def rest(self, method: str, path: str, key: Key | None = None, **options: Any) -> httpx.Response:
        key = key or self.key
        return await self.http.request(method, path, auth=(key.access_key_id, key.access_key_secret), **options)

    async def close(self) -> None:
        for client in self._opened:
            await client.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(redis_url: str, postgres_dsn: str) -> AsyncIterator[Platform]:
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            yield await start(Path(folder), redis_url, postgres_dsn, stack)


@pytest.fixture
def platform(running: Platform) -> Platform:
    running.gateways.reset()
    return running


async def start(folder: Path, redis_url: str, postgres_dsn: str, stack: AsyncExitStack) -> Platform:
    unique = f"t{secrets.token_hex(4)}"
    sockets = {
        name: f"unix://{folder}/{name}.sock" for name in ("auth", "registry", "gateway", "rules", "shadow", "ota")
    }
    key = Key("firstkey", secrets.token_hex(16))
    ca, private = certificate(folder)
    shared: dict[str, object] = {
        "redis_url": redis_url,
        "redis_prefix": f"{unique}.",
        "postgres_dsn": postgres_dsn,
        "bus_url": f"streams+{redis_url}",
        "bus_prefix": f"{unique}.",
    }
    await make_topics(shared)
    gateways = Gateways()
    await stack.enter_async_context(
        serve_rpc(
            sockets["gateway"],
            lambda server: gateway_pb2_grpc.add_GatewayServiceServicer_to_server(gateways, server),
            Runtime.for_tests("connection-gateway"),
        )
    )
    auth = load(
        thinghub.auth.settings.Settings,
        **shared,
        rpc_listen=sockets["auth"],
        postgres_schema=f"{unique}_auth",
        master_key=f"1:{secrets.token_hex(32)}",
        bootstrap_access_key_id=key.access_key_id,
        bootstrap_access_key_secret=key.access_key_secret,
    )
    await stack.enter_async_context(service("auth", lambda runtime: thinghub.auth.app.serve(auth, runtime)))
    registry = load(
        thinghub.device_registry.settings.Settings,
        **shared,
        rpc_listen=sockets["registry"],
        postgres_schema=f"{unique}_registry",
        auth_target=sockets["auth"],
        gateway_target=sockets["gateway"],
    )
    rules = load(
        thinghub.rule_engine.settings.Settings,
        **shared,
        rpc_listen=sockets["rules"],
        postgres_schema=f"{unique}_rules",
        auth_target=sockets["auth"],
        registry_target=sockets["registry"],
        gateway_target=sockets["gateway"],
    )
    await stack.enter_async_context(
        service("device-registry", lambda runtime: thinghub.device_registry.app.serve(registry, runtime))
    )
    shadow = load(
        thinghub.shadow.settings.Settings,
        **shared,
        rpc_listen=sockets["shadow"],
        registry_target=sockets["registry"],
        postgres_schema=f"{unique}_shadow",
        gateway_target=sockets["gateway"],
    )
    await stack.enter_async_context(service("shadow", lambda runtime: thinghub.shadow.app.serve(shadow, runtime)))
    await stack.enter_async_context(
        service("rule-engine", lambda runtime: thinghub.rule_engine.app.serve(rules, runtime))
    )
    ota = load(
        thinghub.ota.settings.Settings,
        **shared,
        rpc_listen=sockets["ota"],
        postgres_schema=f"{unique}_ota",
        registry_target=sockets["registry"],
        gateway_target=sockets["gateway"],
        listen_port=0,
        packages_url=str(folder / "packages"),
    )
    await stack.enter_async_context(service("ota", lambda runtime: thinghub.ota.app.serve(ota, runtime)))
    api = load(
        thinghub.api_gateway.settings.Settings,
        **shared,
        listen_port=0,
        tls_cert_file=str(ca),
        tls_key_file=str(private),
        auth_target=sockets["auth"],
        registry_target=sockets["registry"],
        gateway_target=sockets["gateway"],
        rules_target=sockets["rules"],
        shadow_target=sockets["shadow"],
        ota_target=sockets["ota"],
    )
    bound: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    await stack.enter_async_context(
        service(
            "api-gateway",
            lambda runtime: thinghub.api_gateway.app.serve(
                api, runtime, lambda host, port: bound.set_result((host, port))
            ),
        )
    )
    host, port = bound.result()
    http = await stack.enter_async_context(
        httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=20, trust_env=False)
    )
    platform = Platform(host, port, ca, key, gateways, http)
    stack.push_async_callback(platform.close)
    return platform


@asynccontextmanager
async def service(name: str, serve: Callable[[Runtime], Awaitable[None]]) -> AsyncIterator[None]:
    """Runs one service in this process until it is ready, and then as long as the context lasts."""
    runtime = Runtime.for_tests(name)

    async def run() -> None:
        await serve(runtime)

    task = asyncio.create_task(run())
    ready = asyncio.create_task(runtime.health.wait_ready())
    try:
        done, _ = await asyncio.wait({task, ready}, timeout=40, return_when=asyncio.FIRST_COMPLETED)
        if ready not in done:
            if task.done():
                await task
            pytest.fail(f"{name} did not become ready: {runtime.health.report()}")
        yield
    finally:
        ready.cancel()
        task.cancel()
        await asyncio.gather(task, ready, return_exceptions=True)


async def make_topics(shared: dict[str, object]) -> None:
    bus = await open_bus(str(shared["bus_url"]), str(shared["bus_prefix"]), Runtime.for_tests("bus"))
    specs = bus_topics.specs({topic.name: 1 for topic in bus_topics.BUS_TOPICS})
    await bus.ensure_topics([TopicSpec(one.name, one.partitions, one.retention_s, one.groups) for one in specs])
    await bus.close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "thinghub tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "api.pem", folder / "api.key"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file
