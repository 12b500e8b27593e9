"""shadow's thing data over gRPC."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.values import DeviceId, EventData, PropertyStatus, PropertyValue, Span
from thinghubpb.device.v1 import device_pb2
from thinghubpb.shadow.v1 import things_pb2 as pb
from thinghubpb.shadow.v1.things_pb2_grpc import ThingServiceStub


class RpcThings:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._things = ThingServiceStub(channel)

    async def latest(self, device: DeviceId, module: str) -> Sequence[PropertyStatus]:
        answer = await self._things.GetProperties(pb.GetPropertiesRequest(device=_id(device), module=module))
        return [value(PropertyStatus, one) for one in answer.properties]

    async def values(self, device: DeviceId, identifier: str, span: Span) -> tuple[Sequence[PropertyValue], int]:
        request = pb.ListPropertyDataRequest(device=_id(device), identifier=identifier, span=message(pb.Span, span))
        answer = await self._things.ListPropertyData(request)
        return [value(PropertyValue, one) for one in answer.values], answer.next_ms

    async def events(self, device: DeviceId, identifier: str, kind: str, span: Span) -> tuple[Sequence[EventData], int]:
        request = pb.ListEventDataRequest(
            device=_id(device), identifier=identifier, type=kind, span=message(pb.Span, span)
        )
        answer = await self._things.ListEventData(request)
        return [value(EventData, one) for one in answer.events], answer.next_ms

    async def set(self, device: DeviceId, items: str, qos: int) -> str:
        request = pb.SetPropertiesRequest(device=_id(device), items=items, qos=qos)
        return (await self._things.SetProperties(request)).message_id


def _id(device: DeviceId) -> device_pb2.DeviceId:
    return message(device_pb2.DeviceId, device)
