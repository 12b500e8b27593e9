"""Connection gateways with the real auth, device-registry, Redis, PostgreSQL and bus around them, in one event loop.

A gateway here is the service's own `serve` with settings of the test; several may run side by side, and each may be
stopped or cut off from Redis by itself.
"""

import asyncio
import base64
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import thinghub.auth.app
import thinghub.auth.settings
import thinghub.connection_gateway.app
import thinghub.connection_gateway.settings
import thinghub.device_registry.app
import thinghub.device_registry.settings
from tests.support.child import free_port
from tests.support.device import Device
from tests.support.gateway_core import connect_packet
from tests.support.identity import Identity, Login
from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus, BusRecord, TopicSpec
from thinghub.common.rpc import channel
from thinghub.common.runtime import Runtime
from thinghub.common.settings import load
from thinghub.device_protocol.bodies import status_topic
from thinghub.device_protocol.bus_topics import DEVICE_CUSTOM, DEVICE_LIFECYCLE, specs
from thinghub.device_protocol.records import Message, decode_record
from thinghubpb.device.v1.device_pb2 import DeviceId
from thinghubpb.gateway.v1.gateway_pb2_grpc import GatewayServiceStub
from thinghubpb.registry.v1 import registry_pb2
from thinghubpb.registry.v1.registry_pb2_grpc import RegistryServiceStub

if TYPE_CHECKING:
    from thinghubpb.gateway.v1.gateway_pb2_grpc import GatewayServiceAsyncStub
    from thinghubpb.registry.v1.registry_pb2_grpc import RegistryServiceAsyncStub

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
    rpc: "GatewayServiceAsyncStub"

    async def connect(self, identity: Identity, *, ext: int = 0, clean: bool = True) -> Device:
        return await Device(identity, ext=ext, clean=clean).connect(*self.mqtt)


class Hub:
    """Made by `hub`; `product` and `device` register what a test needs."""

    def __init__(self, folder: Path, shared: dict[str, str], bus: Bus, registry: dict[str, object]) -> None:
        self._registry = registry
        self.folder = folder
        self._shared = shared
        self._running: list[Running] = []
        self._channels = [channel(f"unix://{folder}/registry")]
        self.registry: RegistryServiceAsyncStub = RegistryServiceStub(self._channels[0])
        self.bus = bus

    async def start(self) -> None:
        await self.create_topics(self.prefix)
        auth = load(
            thinghub.auth.settings.Settings,
            **self._own("auth"),
            master_key=f"test:{base64.b64encode(secrets.token_bytes(32)).decode()}",
            bootstrap_access_key_id="test",
            bootstrap_access_key_secret=secrets.token_hex(16),
        )
        registry = load(
            thinghub.device_registry.settings.Settings,
            **self._own("registry"),
            auth_target=f"unix://{self.folder}/auth",
            gateway_target=f"unix://{self.folder}/gateway-0",
            **self._registry,
        )
        await self._start("auth", partial(thinghub.auth.app.serve, auth))
        await self._start("device-registry", partial(thinghub.device_registry.app.serve, registry))

    async def _start(self, name: str, serve: Callable[[Runtime], Coroutine[None, None, None]]) -> None:
        runtime = Runtime.for_tests(name)
        self._running.append(Running(runtime, asyncio.create_task(serve(runtime))))
        await self._running[-1].ready()

    async def create_topics(self, prefix: str) -> None:
        bus = await open_bus(self._shared["bus_url"], prefix, Runtime.for_tests("test"))
        await bus.ensure_topics([TopicSpec(one.name, one.partitions, one.retention_s, one.groups) for one in specs()])
        await bus.close()

    @property
    def prefix(self) -> str:
        return self._shared["bus_prefix"]

    @property
    def last(self) -> Running:
        """The service started last, ready or not."""
        return self._running[-1]

    async def stop_service(self, name: str) -> None:
        for service in self._running:
            if service.runtime.service == name:
                await service.stop()

    async def gateway(self, **settings: object) -> RunningGateway:
        """Another gateway; the first is the one that the registry knows."""
        number = sum(isinstance(one, RunningGateway) for one in self._running)
        port = free_port()
        chosen = load(
            thinghub.connection_gateway.settings.Settings,
            **{
                **self.settings_of(f"gateway-{number}"),
                "mqtt_port": port,
                **settings,
            },
        )
        runtime = Runtime.for_tests("connection-gateway")
        target = f"unix://{self.folder}/gateway-{number}"
        self._channels.append(channel(target))
        task = asyncio.create_task(thinghub.connection_gateway.app.serve(chosen, runtime))
        started = RunningGateway(runtime, task, ("127.0.0.1", port), target, GatewayServiceStub(self._channels[-1]))
        self._running.append(started)
        await started.ready()
        return started

    def settings_of(self, name: str) -> dict[str, object]:
        """Of a gateway that serves RPC under this name in `folder`; no port."""
        return {
            **self._own(name),
            "auth_target": f"unix://{self.folder}/auth",
            "registry_target": f"unix://{self.folder}/registry",
            "mqtt_host": "127.0.0.1",
            "mqtts_port": -1,
            "connects_per_minute": 0,
        }

    async def product(self, node_type: int = 0) -> str:
        product = registry_pb2.Product(name=f"p{secrets.token_hex(4)}", node_type=node_type)
        request = registry_pb2.CreateProductRequest(product=product)
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
        return {
            **self._shared,
            "rpc_listen": f"unix://{self.folder}/{name}",
            "postgres_schema": f"{self._schema}_{name}",
        }

    @property
    def _schema(self) -> str:
        return self.prefix.rstrip(".")


@asynccontextmanager
async def hub(
    redis_url: str, postgres_dsn: str, prefix: str, bus_url: str = "", registry: dict[str, object] | None = None
) -> AsyncIterator[Hub]:
    """Auth and registry (with these settings), ready; gateways are started by the test."""
    folder = Path(tempfile.mkdtemp(prefix="th"))
    shared = {
        "redis_url": redis_url,
        "redis_prefix": prefix,
        "postgres_dsn": postgres_dsn,
        "bus_url": bus_url or f"streams+{redis_url}",
        "bus_prefix": prefix,
    }
    made = Hub(folder, shared, await open_bus(shared["bus_url"], prefix, Runtime.for_tests("test")), registry or {})
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


class Taps:
    """Every message that reaches the device topics of the bus, in order."""

    def __init__(self) -> None:
        self.by_topic: dict[str, list[Message]] = {DEVICE_CUSTOM: [], DEVICE_LIFECYCLE: []}

    async def handle(self, records: Sequence[BusRecord]) -> None:
        for record in records:
            self.by_topic[record.topic].extend(decode_record(record.value).messages)

    def custom(self, identity: Identity) -> list[Message]:
        return [one for one in self.by_topic[DEVICE_CUSTOM] if one.device_name == identity.device_name]

    def statuses(self, identity: Identity) -> list[Message]:
        topic = status_topic(identity.product_key, identity.device_name)
        return [one for one in self.by_topic[DEVICE_LIFECYCLE] if one.topic == topic]

    async def custom_many(self, identity: Identity, many: int) -> list[Message]:
        """Waits for so many custom messages of the device."""
        await eventually(lambda: _true(len(self.custom(identity)) >= many), 10)
        return self.custom(identity)

    async def custom_many_within(self, identity: Identity, many: int, seconds: float) -> None:
        await eventually(lambda: _true(len(self.custom(identity)) >= many), seconds)

    async def status(self, identity: Identity, *expected: str) -> list[Message]:
        """Waits until these, and no others, were the device's statuses."""
        await eventually(lambda: _true([_word(one) for one in self.statuses(identity)] == list(expected)), 10)
        return self.statuses(identity)


@asynccontextmanager
async def tapped(bus: Bus) -> AsyncIterator[Taps]:
    taps = Taps()
    task = asyncio.create_task(bus.tail(list(taps.by_topic), taps.handle))
    await asyncio.sleep(0.2)
    try:
        yield taps
    finally:
        task.cancel()


def _word(message: Message) -> str:
    return str(json.loads(message.payload)["status"])


async def _true(value: bool) -> bool:
    return value


class MuteDevice:
    """Connects and then reads nothing and acknowledges nothing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, identity: Identity, host: str, port: int, ext: int = 0) -> "MuteDevice":
        reader, writer = await asyncio.open_connection(host, port)
        login = identity.login(ext=ext)
        writer.write(connect_packet(login.client_id, login.username, login.password))
        assert await asyncio.wait_for(reader.readexactly(4), 5) == b"\x20\x02\x00\x00"
        return cls(reader, writer)

    async def ended(self, seconds: float) -> bool:
        """Whether the other end closes within this time."""
        try:
            await asyncio.wait_for(self._reader.read(), seconds)
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def refusal(login: Login, host: str, port: int) -> int:
    """The return code with which a CONNECT is refused; 0 when it is accepted."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(connect_packet(login.client_id, login.username, login.password))
        answer = await asyncio.wait_for(reader.readexactly(4), 6)
        assert answer[:3] == b"\x20\x02\x00"
        if answer[3]:
            assert await asyncio.wait_for(reader.read(), 6) == b""
        return answer[3]
    finally:
        writer.close()
