"""shadow's desired properties over gRPC."""

from collections.abc import Mapping, Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.values import DesiredProperty, DeviceId
from thinghubpb.device.v1 import device_pb2
from thinghubpb.shadow.v1 import desired_pb2 as pb
from thinghubpb.shadow.v1.desired_pb2_grpc import DesiredServiceStub


class RpcDesired:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._desired = DesiredServiceStub(channel)

    async def set(self, device: DeviceId, items: str, versions: str) -> tuple[str, Mapping[str, int]]:
        request = pb.SetDesiredRequest(device=_id(device), items=items, versions=versions)
        answer = await self._desired.SetDesired(request)
        return answer.message_id, dict(answer.versions)

    async def get(self, device: DeviceId, identifiers: Sequence[str], module: str) -> Sequence[DesiredProperty]:
        request = pb.GetDesiredRequest(device=_id(device), identifiers=identifiers, module=module)
        answer = await self._desired.GetDesired(request)
        return [value(DesiredProperty, one) for one in answer.properties]

    async def clear(self, device: DeviceId, identifiers: Sequence[str]) -> Mapping[str, int]:
        request = pb.ClearDesiredRequest(device=_id(device), identifiers=identifiers)
        return dict((await self._desired.ClearDesired(request)).versions)


def _id(device: DeviceId) -> device_pb2.DeviceId:
    return message(device_pb2.DeviceId, device)
