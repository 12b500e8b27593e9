"""shadow's histories of several properties, and how long they are kept, over gRPC."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.values import DeviceId, PropertyValue, Span
from thinghubpb.device.v1 import device_pb2
from thinghubpb.shadow.v1 import history_pb2 as pb
from thinghubpb.shadow.v1 import things_pb2
from thinghubpb.shadow.v1.history_pb2_grpc import HistoryServiceStub


class RpcHistories:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._histories = HistoryServiceStub(channel)

    async def several(
        self, device: DeviceId, identifiers: Sequence[str], span: Span
    ) -> tuple[Sequence[tuple[str, Sequence[PropertyValue]]], int]:
        request = pb.ListPropertiesDataRequest(
            device=message(device_pb2.DeviceId, device), identifiers=identifiers, span=message(things_pb2.Span, span)
        )
        answer = await self._histories.ListPropertiesData(request)
        found = [(one.identifier, [value(PropertyValue, item) for item in one.values]) for one in answer.properties]
        return found, answer.next_ms

    async def retention(self, product_key: str) -> tuple[int, bool]:
        answer = await self._histories.GetRetention(pb.GetRetentionRequest(product_key=product_key))
        return answer.days, answer.own

    async def retain(self, product_key: str, days: int) -> int:
        request = pb.SetRetentionRequest(product_key=product_key, days=days)
        return (await self._histories.SetRetention(request)).days
