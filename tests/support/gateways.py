"""Connection gateways with the real auth, device-registry, Redis, PostgreSQL and bus around them, in one event loop.

A gateway here is the service's own `serve` with settings of the test; several may run side by side, and each may be stopped
or cut off from Redis by itself.
"""

import asyncio
import base64
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import thinghub.auth.app
import thinghub.auth.settings
import thinghub.connection_gateway.app
import thinghub.connection_gateway.settings
import thinghub.device_registry.app
import thinghub.device_registry.settings
from tests.support.child import free_port
from tests.support.device import Device
from tests.support.identity import Identity
from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus, TopicSpec
from thinghub.common.rpc import channel
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bus_topics import specs
from thinghubpb.device.v1.device_pb2 import DeviceId
from thinghubpb.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from thinghubpb.registry.v1 import registry_pb2
from thinghubpb.registry.v1.registry_pb2_grpc import RegistryServiceStub

START_SECONDS = 30
STOP_SECONDS = 15


@dataclass
class Running:
    """A service in this loop."""

    runtime: Runtime
    task: asyncio.Task[None]

    async def ready(self) -> None:
        waiting = asyncio.create_task(self.runtime.health.wait_ready())
        done, _ = await asyncio.wait({waiting, self.task}, timeout=START_SECONDS, return_when="FIRST_COMPLETED")
        waiting.cancel()
        if self.task in done:
            await self.task
        assert waiting in done, f"not ready: {self.runtime.health.report()}"

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(self.task, STOP_SECONDS)


@dataclass
class RunningGateway(Running):
    mqtt: tuple[str, int]
    target: str
    rpc: "GatewayServiceStub"

    async def connect(self, identity: Identity, *, ext: int = 0) -> Device:
        return await Device(identity, ext=ext).connect(*self.mqtt)


class Hub:
    """Made by `hub`; `product` and `device` register what a test needs."""

    def __init__(self, folder: Path, shared: dict[str, str], bus: Bus) -> None:
        self._folder = folder
        self._shared = shared
        self._running: list[Running] = []
        self._channels = [channel(f"unix://{folder}/registry")]
        self.registry: RegistryServiceStub = RegistryServiceStub(self._channels[0])
        self.bus = bus

    async def start(self) -> None:
        await self.bus.ensure_topics([TopicSpec(spec.name, spec.partitions, spec.retention_s, spec.groups) for spec in specs()])
        auth = thinghub.auth.settings.Settings(
            **self._own("auth"),
            master_key=f"test:{base64.b64encode(secrets.token_bytes(32)).decode()}",
            bootstrap_access_key_id="test",
            bootstrap_access_key_secret=secrets.token_hex(16),
        )
        registry = thinghub.device_registry.settings.Settings(
            **self._own("registry"),
            auth_target=f"unix://{self._folder}/auth",
            gateway_target=f"unix://{self._folder}/gateway-0",
        )
        for name, work in (
            ("auth", lambda runtime: thinghub.auth.app.serve(auth, runtime)),
            ("device-registry", lambda runtime: thinghub.device_registry.app.serve(registry, runtime)),
        ):
            runtime = Runtime.for_tests(name)
            service = Running(runtime, asyncio.create_task(work(runtime)))
            self._running.append(service)
            await service.ready()

    async def gateway(self, **settings: object) -> RunningGateway:
        """Another gateway; the first is the one that the registry knows."""
        number = sum(isinstance(one, RunningGateway) for one in self._running)
        own = self._own(f"gateway-{number}")
        port = free_port()
        chosen = thinghub.connection_gateway.settings.Settings(
            **{
                **own,
                "auth_target": f"unix://{self._folder}/auth",
                "registry_target": f"unix://{self._folder}/registry",
                "mqtt_host": "127.0.0.1",
                "mqtt_port": port,
                "mqtts_port": -1,
                "connects_per_minute": 0,
                **settings,
            }
        )
        runtime = Runtime.for_tests("connection-gateway")
        target = f"unix://{self._folder}/gateway-{number}"
        self._channels.append(channel(target))
        task = asyncio.create_task(thinghub.connection_gateway.app.serve(chosen, runtime))
        started = RunningGateway(runtime, task, ("127.0.0.1", port), target, GatewayServiceStub(self._channels[-1]))
        self._running.append(started)
        await started.ready()
        return started

    async def product(self, **members: object) -> str:
        request = registry_pb2.CreateProductRequest(product=registry_pb2.Product(name=f"p{secrets.token_hex(4)}", **members))
        return (await self.registry.CreateProduct(request)).product.product_key

    async def device(self, product_key: str, name: str = "") -> Identity:
        request = registry_pb2.RegisterDeviceRequest(
            product_key=product_key, device_name=name or f"d{secrets.token_hex(6)}"
        )
        made = (await self.registry.RegisterDevice(request)).device
        return Identity(made.device.product_key, made.device.device_name, made.device_secret)

    async def enable(self, identity: Identity, enabled: bool) -> None:
        ref = registry_pb2.DeviceRef(device=device_id(identity))
        await self.registry.SetDeviceEnabled(registry_pb2.SetDeviceEnabledRequest(ref=ref, enabled=enabled))

    async def stop(self) -> None:
        for service in reversed(self._running):
            if not service.task.done():
                await service.stop()
        for opened in self._channels:
            await opened.close(None)
        await self.bus.close()

    def _own(self, name: str) -> dict[str, str]:
        return {**self._shared, "rpc_listen": f"unix://{self._folder}/{name}", "postgres_schema": f"{self._schema}_{name}"}

    @property
    def _schema(self) -> str:
        return self._shared["bus_prefix"].rstrip(".")


@asynccontextmanager
async def hub(redis_url: str, postgres_dsn: str, prefix: str) -> AsyncIterator[Hub]:
    """Auth and registry, ready; gateways are started by the test."""
    folder = Path(tempfile.mkdtemp(prefix="th"))
    shared = {
        "redis_url": redis_url,
        "redis_prefix": prefix,
        "postgres_dsn": postgres_dsn,
        "bus_url": f"streams+{redis_url}",
        "bus_prefix": prefix,
    }
    made = Hub(folder, shared, await open_bus(shared["bus_url"], prefix, Runtime.for_tests("test")))
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
        shutil.rmtree(folder)


def device_id(identity: Identity) -> DeviceId:
    return DeviceId(product_key=identity.product_key, device_name=identity.device_name)


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    """Waits until `check` says yes."""
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.02)
