"""shadow over gRPC: documents."""

import grpc

from thinghub.api_gateway.adapters.messages import message
from thinghub.api_gateway.domain.values import DeviceId
from thinghubpb.device.v1 import device_pb2
from thinghubpb.shadow.v1 import shadow_pb2 as pb
from thinghubpb.shadow.v1.shadow_pb2_grpc import ShadowServiceStub


class RpcShadows:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._shadow = ShadowServiceStub(channel)

    async def get(self, device: DeviceId) -> str:
        request = pb.GetShadowRequest(device=message(device_pb2.DeviceId, device))
        return (await self._shadow.GetShadow(request)).document.decode()

    async def update(self, device: DeviceId, document: str, delta: bool) -> int:
        request = pb.UpdateShadowRequest(
            device=message(device_pb2.DeviceId, device), message=document.encode(), delta=delta
        )
        return (await self._shadow.UpdateShadow(request)).version
