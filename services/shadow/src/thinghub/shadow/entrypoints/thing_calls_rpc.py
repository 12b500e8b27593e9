"""thinghubpb.shadow.v1.ThingCallService: protobuf to values and back."""

from collections.abc import Sequence

from thinghub.shadow.entrypoints.things_rpc import Context, device_of, span_of
from thinghub.shadow.errors import DevicesInvalid
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.thing_calls import CallRow
from thinghub.shadow.service.thing_calls import MAX_DEVICES, ThingCalls
from thinghubpb.device.v1 import device_pb2
from thinghubpb.shadow.v1 import thing_calls_pb2 as pb
from thinghubpb.shadow.v1 import thing_calls_pb2_grpc


class ThingCallServicer(thing_calls_pb2_grpc.ThingCallServiceServicer):
    def __init__(self, calls: ThingCalls) -> None:
        self._calls = calls

    async def InvokeService(self, request: pb.InvokeServiceRequest, context: Context) -> pb.InvokeServiceResponse:
        number, result = await self._calls.invoke(
            device_of(request.device), request.identifier, request.arguments, min(request.qos, 1)
        )
        return pb.InvokeServiceResponse(message_id=str(number), result=result)

    async def InvokeServices(self, request: pb.InvokeServicesRequest, context: Context) -> pb.InvokeServicesResponse:
        devices = _devices(request.product_key, request.device_names)
        numbers = await self._calls.tell(devices, request.identifier, request.arguments, min(request.qos, 1))
        return pb.InvokeServicesResponse(message_ids=map(str, numbers))

    async def SetDevicesProperties(
        self, request: pb.SetDevicesPropertiesRequest, context: Context
    ) -> pb.SetDevicesPropertiesResponse:
        devices = _devices(request.product_key, request.device_names)
        numbers = await self._calls.set(devices, request.items, min(request.qos, 1))
        return pb.SetDevicesPropertiesResponse(message_ids=map(str, numbers))

    async def ListServiceCalls(
        self, request: pb.ListServiceCallsRequest, context: Context
    ) -> pb.ListServiceCallsResponse:
        calls, next_ms = await self._calls.find(device_of(request.device), request.identifier, span_of(request.span))
        return pb.ListServiceCallsResponse(calls=map(_call, calls), next_ms=next_ms)


def _devices(product_key: str, names: Sequence[str]) -> list[Device]:
    """Raises DevicesInvalid, DeviceInvalid."""
    if not 1 <= len(names) <= MAX_DEVICES or len(set(names)) < len(names):
        raise DevicesInvalid(f"a call is for 1 to {MAX_DEVICES} devices, each once")
    return [device_of(device_pb2.DeviceId(product_key=product_key, device_name=name)) for name in names]


def _call(row: CallRow) -> pb.ServiceCall:
    return pb.ServiceCall(
        identifier=row.identifier, name=row.name, time_ms=row.received_ms, input=row.input, output=row.output or ""
    )
