"""thinghubpb.shadow.v1.ShadowService: protobuf to values and back."""

from typing import TypeAlias

import grpc

from thinghub.shadow.errors import DeviceInvalid
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.service.documents import Documents
from thinghubpb.device.v1 import device_pb2
from thinghubpb.shadow.v1 import shadow_pb2 as pb
from thinghubpb.shadow.v1 import shadow_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class ShadowServicer(shadow_pb2_grpc.ShadowServiceServicer):
    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def GetShadow(self, request: pb.GetShadowRequest, context: Context) -> pb.GetShadowResponse:
        document, version = await self._documents.get(_device(request.device))
        return pb.GetShadowResponse(document=document, version=version)

    async def UpdateShadow(self, request: pb.UpdateShadowRequest, context: Context) -> pb.UpdateShadowResponse:
        version = await self._documents.update(_device(request.device), request.message, request.delta)
        return pb.UpdateShadowResponse(version=version)


def _device(device: device_pb2.DeviceId) -> Device:
    """Raises DeviceInvalid. Braces would move a key to another slot."""
    names = device.product_key + device.device_name
    if not device.product_key or not device.device_name or "{" in names or "}" in names:
        raise DeviceInvalid("a device is named by product_key and device_name")
    return Device(device.product_key, device.device_name)
