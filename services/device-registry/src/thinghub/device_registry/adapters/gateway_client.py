"""The connection gateways over gRPC: any one takes the call and forwards it."""

from collections.abc import Iterator, Mapping, Sequence

import grpc

from thinghub.device_registry.adapters.auth_client import plainly
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.sweeping import Held
from thinghub.device_registry.ports.tags import Reply
from thinghubpb.device.v1 import device_pb2
from thinghubpb.gateway.v1 import gateway_pb2 as pb
from thinghubpb.gateway.v1 import gateway_pb2_grpc

LIFT = -1  # KickTarget.bar_seconds: negative lifts an earlier bar

MAX_CALL_BYTES = 4 << 20


class GatewayConnections:
    """Implements `Connections`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._gateway = gateway_pb2_grpc.GatewayServiceStub(channel)

    async def bar(self, device: DeviceId, seconds: int, reason: str) -> None:
        await self._kick([device], seconds, reason)

    async def unbar(self, device: DeviceId) -> None:
        await self.unbar_all([device])

    async def unbar_all(self, devices: Sequence[DeviceId]) -> None:
        await self._kick(devices, LIFT, "enabled")

    async def _kick(self, devices: Sequence[DeviceId], bar_seconds: int, reason: str) -> None:
        names = [device_pb2.DeviceId(product_key=one.product_key, device_name=one.device_name) for one in devices]
        targets = [pb.KickTarget(device=name, reason=reason, bar_seconds=bar_seconds) for name in names]
        async with plainly("the connection gateway"):
            await self._gateway.Kick(pb.KickRequest(targets=targets))


class GatewaySessions:
    """Implements `Sessions`. Epochs are the microseconds at which sessions began."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._gateway = gateway_pb2_grpc.GatewayServiceStub(channel)

    async def end(self, devices: Mapping[DeviceId, int], reason: str) -> None:
        targets = [
            pb.KickTarget(
                device=device_pb2.DeviceId(product_key=one.product_key, device_name=one.device_name),
                max_epoch=at_ms * 1000,
                reason=reason,
            )
            for one, at_ms in devices.items()
        ]
        async with plainly("the connection gateway"):
            await self._gateway.Kick(pb.KickRequest(targets=targets))


class GatewayClaims:
    """Implements `Claims`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._gateway = gateway_pb2_grpc.GatewayServiceStub(channel)

    async def held(self, devices: Sequence[DeviceId]) -> Sequence[Held | None]:
        names = [device_pb2.DeviceId(product_key=one.product_key, device_name=one.device_name) for one in devices]
        async with plainly("the connection gateway"):
            answer = await self._gateway.GetSessions(pb.GetSessionsRequest(devices=names))
        return [_held(session) for session in answer.sessions]


class GatewayReplies:
    """Implements `Replies`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._gateway = gateway_pb2_grpc.GatewayServiceStub(channel)

    async def send(self, replies: Sequence[Reply]) -> None:
        for part in _parts(replies):
            async with plainly("the connection gateway"):
                await self._gateway.Deliver(pb.DeliverRequest(messages=map(_downlink, part)))


def _parts(replies: Sequence[Reply]) -> Iterator[list[Reply]]:
    """Of a size that one call takes."""
    part: list[Reply] = []
    size = 0
    for one in replies:
        if part and size + len(one.payload) > MAX_CALL_BYTES:
            yield part
            part, size = [], 0
        part.append(one)
        size += len(one.payload)
    if part:
        yield part


def _held(session: pb.Session) -> Held | None:
    address = session.client_address.rpartition(":")[0].strip("[]")
    return Held(session.epoch, session.connected_ms, address) if session.online else None


def _downlink(reply: Reply) -> pb.Downlink:
    device = reply.device
    return pb.Downlink(
        device=device_pb2.DeviceId(product_key=device.product_key, device_name=device.device_name),
        topic=reply.topic,
        payload=reply.payload,
        qos=1,
        message_id=reply.message_id,
        origin=reply.origin,
        handle=reply.handle,
    )
