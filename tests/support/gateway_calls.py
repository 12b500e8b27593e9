"""A connection gateway's gRPC face that records what it is asked: for services that tell gateways things."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from thinghub.common.rpc import serve_rpc
from thinghub.common.runtime import Runtime
from thinghubpb.gateway.v1 import gateway_pb2 as pb
from thinghubpb.gateway.v1 import gateway_pb2_grpc


class GatewayCalls(gateway_pb2_grpc.GatewayServiceServicer):
    """`kicks` are the (device name, bar seconds, reason) of Kick, in order."""

    def __init__(self) -> None:
        self.kicks: list[tuple[str, int, str]] = []

    async def Kick(
        self, request: pb.KickRequest, context: "grpc.aio.ServicerContext[pb.KickRequest, pb.KickResponse]"
    ) -> pb.KickResponse:
        for target in request.targets:
            self.kicks.append((target.device.device_name, target.bar_seconds, target.reason))
        return pb.KickResponse(results=[pb.KickResult(kicked=True) for _ in request.targets])

    @asynccontextmanager
    async def serving(self, listen: str) -> AsyncIterator[str]:
        runtime = Runtime.for_tests("connection-gateway")
        async with serve_rpc(
            listen, lambda server: gateway_pb2_grpc.add_GatewayServiceServicer_to_server(self, server), runtime
        ) as target:
            yield target
