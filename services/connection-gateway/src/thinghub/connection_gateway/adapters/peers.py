"""Other gateways, by gRPC: one channel an address, the least used ones closed beyond a bound."""

from collections import OrderedDict
from collections.abc import Sequence

import grpc

from thinghub.common.errors import RemoteFault, Unavailable
from thinghub.common.rpc import channel
from thinghub.common.runtime import Runtime
from thinghub.connection_gateway.domain.broadcasts import Broadcast, Reached
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.live import Live
from thinghub.connection_gateway.domain.outcomes import Downlink, Outcome
from thinghub.connection_gateway.domain.rrpc import Answer, Code
from thinghub.connection_gateway.errors import PeerUnavailable
from thinghub.connection_gateway.ports import KickTarget, Response
from thinghubpb.device.v1 import device_pb2
from thinghubpb.gateway.v1 import gateway_pb2, gateway_pb2_grpc

CHANNELS = 600
# What a call may take beyond the time that its device was given.
SLACK_SECONDS = 1.0
RESPOND_SECONDS = 1.0
BROADCAST_SECONDS = 10.0
INSPECT_SECONDS = 2.0

_OUTCOMES = {gateway_pb2.Outcome.Value(f"OUTCOME_{outcome.name}"): outcome for outcome in Outcome}
_CODES = {gateway_pb2.RequestResponse.Code.Value(f"CODE_{code.name}"): code for code in Code}


class GrpcPeers:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()

    async def deliver(self, address: str, messages: Sequence[Downlink], wait_ms: int) -> list[Outcome]:
        request = gateway_pb2.DeliverRequest(
            messages=[_downlink(message) for message in messages], forwarded=True, wait_ms=wait_ms
        )
        stub = await self._stub(address)
        try:
            answer = await stub.Deliver(request, timeout=wait_ms / 1000 + SLACK_SECONDS)
        except (Unavailable, RemoteFault) as fault:
            raise PeerUnavailable(f"gateway {address}: {fault}") from fault
        return [_OUTCOMES.get(delivery.outcome, Outcome.FAILED) for delivery in answer.deliveries]

    async def request(self, address: str, device: Device, payload: bytes, topic: str, timeout_ms: int) -> Answer:
        request = gateway_pb2.RequestRequest(
            device=_device(device), payload=payload, topic=topic, timeout_ms=timeout_ms, forwarded=True
        )
        stub = await self._stub(address)
        try:
            answer = await stub.Request(request, timeout=(timeout_ms or 8000) / 1000 + SLACK_SECONDS)
        except (Unavailable, RemoteFault) as fault:
            raise PeerUnavailable(f"gateway {address}: {fault}") from fault
        return Answer(_CODES.get(answer.code, Code.UNKNOWN), answer.message_id, answer.payload)

    async def kick(self, address: str, targets: Sequence[KickTarget], deadline: float) -> list[bool]:
        request = gateway_pb2.KickRequest(
            targets=[
                gateway_pb2.KickTarget(device=_device(one.device), max_epoch=one.max_epoch, reason=one.reason)
                for one in targets
            ],
            forwarded=True,
        )
        stub = await self._stub(address)
        try:
            answer = await stub.Kick(request, timeout=deadline)
        except (Unavailable, RemoteFault) as fault:
            raise PeerUnavailable(f"gateway {address}: {fault}") from fault
        return [result.kicked for result in answer.results]

    async def respond(self, address: str, responses: Sequence[Response]) -> None:
        request = gateway_pb2.RespondRequest(
            responses=[
                gateway_pb2.DeviceResponse(message_id=one.message_id, device=_device(one.device), payload=one.payload)
                for one in responses
            ]
        )
        stub = await self._stub(address)
        try:
            await stub.Respond(request, timeout=RESPOND_SECONDS)
        except (Unavailable, RemoteFault) as fault:
            raise PeerUnavailable(f"gateway {address}: {fault}") from fault

    async def broadcast(self, address: str, broadcast: Broadcast) -> Reached:
        request = gateway_pb2.BroadcastRequest(
            product_key=broadcast.product_key,
            topic=broadcast.topic,
            payload=broadcast.payload,
            message_id=broadcast.message_id,
            forwarded=True,
        )
        stub = await self._stub(address)
        try:
            answer = await stub.Broadcast(request, timeout=BROADCAST_SECONDS)
        except (Unavailable, RemoteFault) as fault:
            raise PeerUnavailable(f"gateway {address}: {fault}") from fault
        return Reached(answer.sent, answer.no_subscriber, answer.failed)

    async def inspect(self, address: str, devices: Sequence[Device]) -> list[Live | None]:
        request = gateway_pb2.ExplainRequest(devices=[_device(device) for device in devices], forwarded=True)
        stub = await self._stub(address)
        try:
            answer = await stub.Explain(request, timeout=INSPECT_SECONDS)
        except (Unavailable, RemoteFault) as fault:
            raise PeerUnavailable(f"gateway {address}: {fault}") from fault
        return [_live(one.live) if one.HasField("live") else None for one in answer.explanations]

    async def close(self) -> None:
        while self._channels:
            _, opened = self._channels.popitem()
            await opened.close(None)

    async def _stub(self, address: str) -> "gateway_pb2_grpc.GatewayServiceAsyncStub":
        opened = self._channels.pop(address, None) or channel(address, self._runtime)
        self._channels[address] = opened
        if len(self._channels) > CHANNELS:
            _, unused = self._channels.popitem(last=False)
            await unused.close(None)
        return gateway_pb2_grpc.GatewayServiceStub(opened)


def _device(device: Device) -> device_pb2.DeviceId:
    return device_pb2.DeviceId(product_key=device.product_key, device_name=device.device_name)


def _downlink(message: Downlink) -> gateway_pb2.Downlink:
    return gateway_pb2.Downlink(
        device=_device(message.device),
        topic=message.topic,
        payload=message.payload,
        qos=message.qos,
        message_id=message.message_id,
        origin=message.origin,
        handle=message.handle,
        ttl_ms=message.ttl_ms,
        sequence=message.sequence,
    )


def _live(live: gateway_pb2.LiveSession) -> Live:
    behind = Device(live.behind.product_key, live.behind.device_name) if live.HasField("behind") else None
    return Live(
        live.messages_up,
        live.messages_down,
        live.refused_permission,
        live.refused_quota,
        live.quota_delays,
        live.in_flight,
        live.queued,
        tuple(live.subscriptions),
        live.keep_alive_s,
        live.last_packet_ms_ago,
        live.out_buffer,
        behind,
        live.sub_devices,
    )
