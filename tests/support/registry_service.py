"""device-registry running in the test's own loop, over a unix socket, and a client to it in the words of its tests."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from tests.support.identity import Identity
from thinghub.common.rpc import channel
from thinghub.common.runtime import Runtime
from thinghub.device_registry.app import serve
from thinghub.device_registry.settings import Settings
from thinghubpb.device.v1 import device_pb2
from thinghubpb.registry.v1 import registry_pb2 as pb
from thinghubpb.registry.v1 import registry_pb2_grpc

if TYPE_CHECKING:
    from thinghubpb.registry.v1.registry_pb2_grpc import RegistryServiceAsyncStub


def ref(identity: Identity) -> pb.DeviceRef:
    name = device_pb2.DeviceId(product_key=identity.product_key, device_name=identity.device_name)
    return pb.DeviceRef(device=name)


@dataclass
class Registry:
    stub: "RegistryServiceAsyncStub"
    runtime: Runtime
    settings: Settings
    running: asyncio.Task[None]

    @property
    def target(self) -> str:
        return self.settings.rpc_listen

    async def stop(self) -> None:
        self.running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.running

    async def instance(self, instance_id: str) -> None:
        await self.stub.CreateInstance(pb.CreateInstanceRequest(instance_id=instance_id, name=instance_id))

    async def product(self, name: str = "", **members: object) -> pb.Product:
        product = pb.Product(name=name or f"p_{secrets.token_hex(6)}", data_format=1)
        product.MergeFrom(pb.Product(**members))  # type: ignore[arg-type]  # wrong ones are for the service to refuse
        return (await self.stub.CreateProduct(pb.CreateProductRequest(product=product))).product

    async def register(self, product_key: str, name: str = "", **members: str) -> Identity:
        request = pb.RegisterDeviceRequest(product_key=product_key, device_name=name, **members)
        device = (await self.stub.RegisterDevice(request)).device
        return Identity(device.device.product_key, device.device.device_name, device.device_secret)

    async def device(self, identity: Identity, *, with_secrets: bool = False) -> pb.Device | None:
        request = pb.GetDevicesRequest(refs=[ref(identity)], with_secrets=with_secrets)
        (found,) = (await self.stub.GetDevices(request)).devices
        return found.device if found.found else None

    async def enable(self, identity: Identity, enabled: bool) -> None:
        await self.stub.SetDeviceEnabled(pb.SetDeviceEnabledRequest(ref=ref(identity), enabled=enabled))

    async def delete(self, identity: Identity) -> None:
        await self.stub.DeleteDevice(pb.DeleteDeviceRequest(ref=ref(identity)))

    async def policy(self, product_key: str) -> pb.ProductPolicy:
        request = pb.GetProductPoliciesRequest(product_keys=[product_key])
        return (await self.stub.GetProductPolicies(request)).policies[0]


StartRegistry = Callable[..., Awaitable[Registry]]


@asynccontextmanager
async def registry_starter(directory: Path, **shared: object) -> AsyncIterator[StartRegistry]:
    """Gives a function that starts device-registry with these settings and its own; it waits until it is ready unless
    told not to. All are stopped at the end."""
    started: list[Registry] = []
    channels: list[grpc.aio.Channel] = []

    async def start(ready: bool = True, **given: object) -> Registry:
        target = f"unix://{directory}/{secrets.token_hex(4)}"
        settings = Settings(**{"rpc_listen": target, **shared, **given})  # type: ignore[arg-type]  # checked by pydantic
        runtime = Runtime.for_tests("device-registry")
        running = asyncio.create_task(serve(settings, runtime))
        channels.append(channel(settings.rpc_listen))
        stub = registry_pb2_grpc.RegistryServiceStub(channels[-1])
        started.append(Registry(stub, runtime, settings, running))
        if ready:
            await asyncio.wait_for(runtime.health.wait_ready(), 30)
        return started[-1]

    try:
        yield start
    finally:
        for one in channels:
            await one.close(None)
        for registry in started:
            await registry.stop()
