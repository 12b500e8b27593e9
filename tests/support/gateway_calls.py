"""Kick and Deliver of a connection gateway, which records what it is asked: for services that tell gateways things."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from thinghub.common.rpc import serve_rpc
from thinghub.common.runtime import Runtime
from thinghubpb.gateway.v1 import gateway_pb2 as pb

SERVICE = "thinghubpb.gateway.v1.GatewayService"


class GatewayCalls:
    """`kicks` are the (device name, bar seconds, reason) of Kick, in order; `downlinks` the messages of Deliver."""

    def __init__(self) -> None:
        self.kicks: list[tuple[str, int, str]] = []
        self.downlinks: list[pb.Downlink] = []

    async def kick(self, request: pb.KickRequest, context: object) -> pb.KickResponse:
        for target in request.targets:
            self.kicks.append((target.device.device_name, target.bar_seconds, target.reason))
        return pb.KickResponse(results=[pb.KickResult(kicked=True) for _ in request.targets])

    async def deliver(self, request: pb.DeliverRequest, context: object) -> pb.DeliverResponse:
        self.downlinks.extend(request.messages)
        return pb.DeliverResponse(
            deliveries=[pb.Delivery(message_id=one.message_id, outcome=pb.OUTCOME_SENT) for one in request.messages]
        )

    @asynccontextmanager
    async def serving(self, listen: str) -> AsyncIterator[str]:
        """Yields the target to dial."""
        async with serve_rpc(listen, self._add, Runtime.for_tests("connection-gateway")) as target:
            yield target

    def _add(self, server: grpc.aio.Server) -> None:
        kick = grpc.unary_unary_rpc_method_handler(
            self.kick, pb.KickRequest.FromString, pb.KickResponse.SerializeToString
        )
        deliver = grpc.unary_unary_rpc_method_handler(
            self.deliver, pb.DeliverRequest.FromString, pb.DeliverResponse.SerializeToString
        )
        methods = {"Kick": kick, "Deliver": deliver}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
