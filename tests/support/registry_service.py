"""A client to a running device-registry, in the words of its tests."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.identity import Identity
from thinghub.common.runtime import Runtime
from thinghub.device_registry.settings import Settings
from thinghubpb.device.v1 import device_pb2
from thinghubpb.registry.v1 import registry_pb2 as pb

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
