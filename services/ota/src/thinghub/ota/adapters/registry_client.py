"""device-registry over gRPC."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import grpc

from thinghub.common.errors import RemoteFault, Unavailable
from thinghub.ota.domain.models import DeviceId, Target
from thinghubpb.device.v1 import device_pb2
from thinghubpb.registry.v1 import registry_pb2 as pb
from thinghubpb.registry.v1 import registry_pb2_grpc

PAGE = 200


@asynccontextmanager
async def _plainly() -> AsyncIterator[None]:
    """A part that is away behind the registry is Unavailable here too; every other fault of its passes on."""
    try:
        yield
    except RemoteFault as fault:
        if fault.kind in ("Unavailable", "Internal"):
            raise Unavailable(f"device-registry cannot do it now: {fault.message}") from fault
        raise


class RpcRegistry:
    """Implements `Registry`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._registry = registry_pb2_grpc.RegistryServiceStub(channel)

    async def instance_of(self, instance_id: str, product_key: str) -> str:
        async with _plainly():
            request = pb.GetProductRequest(instance_id=instance_id, product_key=product_key)
            return (await self._registry.GetProduct(request)).product.instance_id

    async def find(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, str]:
        found: dict[DeviceId, str] = {}
        for start in range(0, len(devices), PAGE):
            refs = [
                pb.DeviceRef(device=device_pb2.DeviceId(product_key=one.product_key, device_name=one.device_name))
                for one in devices[start : start + PAGE]
            ]
            async with _plainly():
                answer = await self._registry.GetDevices(pb.GetDevicesRequest(refs=refs))
            for one in answer.devices:
                if one.found:
                    name = one.device.device
                    found[DeviceId(name.product_key, name.device_name)] = one.device.iot_id
        return found

    async def page(self, product_key: str, cursor: str) -> tuple[Sequence[Target], str]:
        request = pb.ListDevicesRequest(product_key=product_key, next_token=cursor, page_size=PAGE)
        async with _plainly():
            answer = await self._registry.ListDevices(request)
        return [Target(one.device.device_name, one.iot_id) for one in answer.devices], answer.next_token
