"""connection-gateway over gRPC: any of them, which forwards by owner."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.support import Attempt, Claim, Known, Live, SampledMessage
from thinghub.api_gateway.domain.values import Broadcast, DeviceId, Downlink, Outcome, Reached, Reply, Session
from thinghubpb.device.v1 import device_pb2
from thinghubpb.gateway.v1 import gateway_pb2 as pb
from thinghubpb.gateway.v1.gateway_pb2_grpc import GatewayServiceStub

GRACE_SECONDS = 2.0
BROADCAST_SECONDS = 12.0


class RpcGateways:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._gateways = GatewayServiceStub(channel)

    async def deliver(self, messages: Sequence[Downlink], wait_ms: int) -> Sequence[Outcome]:
        request = pb.DeliverRequest(messages=[message(pb.Downlink, one) for one in messages], wait_ms=wait_ms)
        answer = await self._gateways.Deliver(request, timeout=max(5.0, wait_ms / 1000 + GRACE_SECONDS))
        return [Outcome(delivery.outcome) for delivery in answer.deliveries]

    async def request(self, device: DeviceId, payload: bytes, topic: str, timeout_ms: int) -> Reply:
        request = pb.RequestRequest(
            device=message(device_pb2.DeviceId, device), payload=payload, topic=topic, timeout_ms=timeout_ms
        )
        return value(Reply, await self._gateways.Request(request, timeout=timeout_ms / 1000 + GRACE_SECONDS))

    async def broadcast(self, broadcast: Broadcast) -> Reached:
        request = message(pb.BroadcastRequest, broadcast)
        answer = await self._gateways.Broadcast(request, timeout=BROADCAST_SECONDS)
        return value(Reached, answer, unreachable=list(answer.unreachable))

    async def sessions(self, devices: Sequence[DeviceId]) -> Sequence[Session]:
        request = pb.GetSessionsRequest(devices=[message(device_pb2.DeviceId, device) for device in devices])
        return [value(Session, session) for session in (await self._gateways.GetSessions(request)).sessions]

    async def explain(self, devices: Sequence[DeviceId]) -> Sequence[Known]:
        request = pb.ExplainRequest(devices=[message(device_pb2.DeviceId, device) for device in devices])
        answer = await self._gateways.Explain(request)
        return [_known(explained, answer.sampled_every) for explained in answer.explanations]


def _known(explained: pb.Explanation, sampled_every: int) -> Known:
    return Known(
        value(Claim, explained.session),
        explained.gateway_alive,
        explained.barred_ms,
        [value(Attempt, one) for one in explained.attempts],
        [value(SampledMessage, one) for one in explained.messages],
        sampled_every,
        _live(explained.live) if explained.HasField("live") else None,
    )


def _live(live: pb.LiveSession) -> Live:
    behind = value(DeviceId, live.behind) if live.HasField("behind") else None
    return value(Live, live, subscriptions=list(live.subscriptions), behind=behind)
