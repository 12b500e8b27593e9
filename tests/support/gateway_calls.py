"""Kick, Deliver and GetSessions of a connection gateway, which records what it is asked: for services that tell things
to gateways."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc

from thinghub.common.rpc import serve_rpc
from thinghub.common.runtime import Runtime
from thinghubpb.gateway.v1 import gateway_pb2 as pb

SERVICE = "thinghubpb.gateway.v1.GatewayService"


class GatewayCalls:
    """`kicks` are the (device name, bar seconds, reason) of Kick, in order; `downlinks` the messages of Deliver.
    `sessions` are those there are, by device name; `looked` is called with the names that are asked for."""

    def __init__(self) -> None:
        self.sessions: dict[str, pb.Session] = {}
        self.looked: Callable[[list[str]], Awaitable[None]] | None = None
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

    async def get_sessions(self, request: pb.GetSessionsRequest, context: object) -> pb.GetSessionsResponse:
        names = [device.device_name for device in request.devices]
        if self.looked is not None:
            await self.looked(names)
        return pb.GetSessionsResponse(sessions=[self.sessions.get(name, pb.Session()) for name in names])

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
        sessions = grpc.unary_unary_rpc_method_handler(
            self.get_sessions, pb.GetSessionsRequest.FromString, pb.GetSessionsResponse.SerializeToString
        )
        methods = {"Kick": kick, "Deliver": deliver, "GetSessions": sessions}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
