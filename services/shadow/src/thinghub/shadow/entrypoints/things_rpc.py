"""thinghubpb.shadow.v1.ThingService: protobuf to values and back."""

from typing import TypeAlias

import grpc

from thinghub.shadow.domain.thing_bodies import text_of
from thinghub.shadow.errors import DeviceInvalid
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import Span
from thinghub.shadow.service.thing_calls import ThingCalls
from thinghub.shadow.service.thing_reports import Reported, ThingReports
from thinghubpb.device.v1 import device_pb2
from thinghubpb.shadow.v1 import things_pb2 as pb
from thinghubpb.shadow.v1 import things_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class ThingServicer(things_pb2_grpc.ThingServiceServicer):
    def __init__(self, reports: ThingReports, calls: ThingCalls) -> None:
        self._reports = reports
        self._calls = calls

    async def GetProperties(self, request: pb.GetPropertiesRequest, context: Context) -> pb.GetPropertiesResponse:
        reported = await self._reports.latest(device_of(request.device), request.module)
        return pb.GetPropertiesResponse(properties=map(_status, reported))

    async def ListPropertyData(
        self, request: pb.ListPropertyDataRequest, context: Context
    ) -> pb.ListPropertyDataResponse:
        values, next_ms = await self._reports.values(
            device_of(request.device), request.identifier, span_of(request.span)
        )
        return pb.ListPropertyDataResponse(
            values=[pb.PropertyValue(time_ms=one.time_ms, value=text_of(one.value)) for one in values], next_ms=next_ms
        )

    async def ListEventData(self, request: pb.ListEventDataRequest, context: Context) -> pb.ListEventDataResponse:
        events, next_ms = await self._reports.events(
            device_of(request.device), request.identifier, request.type, span_of(request.span)
        )
        return pb.ListEventDataResponse(
            events=[
                pb.EventData(
                    identifier=one.identifier, name=one.name, type=one.type, time_ms=one.time_ms, value=one.value
                )
                for one in events
            ],
            next_ms=next_ms,
        )

    async def SetProperties(self, request: pb.SetPropertiesRequest, context: Context) -> pb.SetPropertiesResponse:
        (sent,) = await self._calls.set([device_of(request.device)], request.items, min(request.qos, 1))
        return pb.SetPropertiesResponse(message_id=str(sent))


def _status(reported: Reported) -> pb.PropertyStatus:
    one, item = reported
    return pb.PropertyStatus(
        identifier=one.identifier,
        name=one.name,
        data_type=one.type.kind.value,
        unit=one.type.unit,
        value=text_of(item.value) if item else "",
        time_ms=item.time_ms if item else 0,
    )


def span_of(span: pb.Span) -> Span:
    return Span(span.start_ms, span.end_ms, span.limit, span.ascending)


def device_of(device: device_pb2.DeviceId) -> Device:
    """Raises DeviceInvalid. Braces would move a key to another slot."""
    names = device.product_key + device.device_name
    if not device.product_key or not device.device_name or not names.isprintable() or "{" in names or "}" in names:
        raise DeviceInvalid("a device is named by product_key and device_name")
    return Device(device.product_key, device.device_name)
