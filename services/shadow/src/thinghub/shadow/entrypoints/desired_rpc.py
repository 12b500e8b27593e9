"""thinghubpb.shadow.v1.DesiredService: protobuf to values and back."""

from typing import TypeAlias

import grpc

from thinghub.shadow.domain.thing_bodies import text_of
from thinghub.shadow.entrypoints.things_rpc import device_of
from thinghub.shadow.service.desired_properties import DesiredProperties, Shown
from thinghubpb.shadow.v1 import desired_pb2 as pb
from thinghubpb.shadow.v1 import desired_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class DesiredServicer(desired_pb2_grpc.DesiredServiceServicer):
    def __init__(self, desired: DesiredProperties) -> None:
        self._desired = desired

    async def SetDesired(self, request: pb.SetDesiredRequest, context: Context) -> pb.SetDesiredResponse:
        sent, versions = await self._desired.set(device_of(request.device), request.items, request.versions)
        return pb.SetDesiredResponse(message_id=sent, versions=versions)

    async def GetDesired(self, request: pb.GetDesiredRequest, context: Context) -> pb.GetDesiredResponse:
        shown = await self._desired.get(device_of(request.device), list(request.identifiers), request.module)
        return pb.GetDesiredResponse(properties=map(_property, shown))

    async def ClearDesired(self, request: pb.ClearDesiredRequest, context: Context) -> pb.ClearDesiredResponse:
        versions = await self._desired.clear(device_of(request.device), list(request.identifiers))
        return pb.ClearDesiredResponse(versions=versions)


def _property(shown: Shown) -> pb.DesiredProperty:
    one, desired = shown
    return pb.DesiredProperty(
        identifier=one.identifier,
        name=one.name,
        data_type=one.type.kind.value,
        unit=one.type.unit,
        value=text_of(desired.value) if desired.time_ms else "",
        time_ms=desired.time_ms,
        version=desired.version,
    )
