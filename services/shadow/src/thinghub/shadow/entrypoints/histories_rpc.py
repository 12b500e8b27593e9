"""thinghubpb.shadow.v1.HistoryService: protobuf to values and back."""

from typing import TypeAlias

import grpc

from thinghub.shadow.domain.thing_bodies import text_of
from thinghub.shadow.entrypoints.things_rpc import device_of, span_of
from thinghub.shadow.service.thing_histories import ThingHistories
from thinghubpb.shadow.v1 import history_pb2 as pb
from thinghubpb.shadow.v1 import history_pb2_grpc, things_pb2

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class HistoryServicer(history_pb2_grpc.HistoryServiceServicer):
    def __init__(self, histories: ThingHistories) -> None:
        self._histories = histories

    async def ListPropertiesData(
        self, request: pb.ListPropertiesDataRequest, context: Context
    ) -> pb.ListPropertiesDataResponse:
        found, next_ms = await self._histories.values(
            device_of(request.device), list(request.identifiers), span_of(request.span)
        )
        properties = [
            pb.PropertyValues(
                identifier=identifier,
                values=[things_pb2.PropertyValue(time_ms=one.time_ms, value=text_of(one.value)) for one in values],
            )
            for identifier, values in found.items()
        ]
        return pb.ListPropertiesDataResponse(properties=properties, next_ms=next_ms)

    async def GetRetention(self, request: pb.GetRetentionRequest, context: Context) -> pb.GetRetentionResponse:
        days, own = await self._histories.retention(request.product_key)
        return pb.GetRetentionResponse(days=days, own=own)

    async def SetRetention(self, request: pb.SetRetentionRequest, context: Context) -> pb.SetRetentionResponse:
        return pb.SetRetentionResponse(days=await self._histories.retain(request.product_key, request.days))
