"""shadow's calls to devices over gRPC."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message
from thinghub.api_gateway.domain.values import DeviceId, ServiceCall, Span
from thinghubpb.device.v1 import device_pb2
from thinghubpb.shadow.v1 import thing_calls_pb2 as pb
from thinghubpb.shadow.v1 import things_pb2
from thinghubpb.shadow.v1.thing_calls_pb2_grpc import ThingCallServiceStub

# shadow waits 8 s for a device's answer.
INVOKE_SECONDS = 13.0


class RpcThingCalls:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._calls = ThingCallServiceStub(channel)

    async def invoke(self, device: DeviceId, identifier: str, arguments: str, qos: int) -> tuple[str, str]:
        request = pb.InvokeServiceRequest(
            device=message(device_pb2.DeviceId, device), identifier=identifier, arguments=arguments, qos=qos
        )
        answer = await self._calls.InvokeService(request, timeout=INVOKE_SECONDS)
        return answer.message_id, answer.result

    async def invoke_many(
        self, product_key: str, device_names: Sequence[str], identifier: str, arguments: str, qos: int
    ) -> None:
        request = pb.InvokeServicesRequest(
            product_key=product_key, device_names=device_names, identifier=identifier, arguments=arguments, qos=qos
        )
        await self._calls.InvokeServices(request)

    async def set_many(self, product_key: str, device_names: Sequence[str], items: str, qos: int) -> None:
        request = pb.SetDevicesPropertiesRequest(
            product_key=product_key, device_names=device_names, items=items, qos=qos
        )
        await self._calls.SetDevicesProperties(request)

    async def find(self, device: DeviceId, identifier: str, span: Span) -> tuple[Sequence[ServiceCall], int]:
        request = pb.ListServiceCallsRequest(
            device=message(device_pb2.DeviceId, device), identifier=identifier, span=message(things_pb2.Span, span)
        )
        answer = await self._calls.ListServiceCalls(request)
        calls = [ServiceCall(one.identifier, one.name, one.time_ms, one.input, one.output) for one in answer.calls]
        return calls, answer.next_ms
