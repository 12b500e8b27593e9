"""GatewayService: what other services and other gateways ask."""

from collections.abc import Sequence

import grpc

from thinghub.connection_gateway.domain.broadcasts import Broadcast
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.outcomes import Downlink, Outcome
from thinghub.connection_gateway.domain.rrpc import Answer, Code
from thinghub.connection_gateway.entrypoints.explaining import explanation, live_session
from thinghub.connection_gateway.errors import DeviceMissing
from thinghub.connection_gateway.ports import Count, KickTarget, Response
from thinghub.connection_gateway.service.kicks import Kicks
from thinghub.connection_gateway.service.lookup import Located
from thinghub.connection_gateway.service.message_services import MessageServices
from thinghubpb.device.v1 import device_pb2
from thinghubpb.gateway.v1 import gateway_pb2, gateway_pb2_grpc

Context = grpc.aio.ServicerContext[object, object]

_OUTCOMES = {outcome: gateway_pb2.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in Outcome}
_CODES = {code: gateway_pb2.RequestResponse.Code.Value(f"CODE_{code.name}") for code in Code}


class GatewayRpc(gateway_pb2_grpc.GatewayServiceServicer):
    def __init__(self, messages: MessageServices, kicks: Kicks, count: Count) -> None:
        self._delivery = messages.delivery
        self._requests = messages.requests
        self._kicks = kicks
        self._lookup = messages.lookup
        self._broadcasts = messages.broadcasts
        self._explain = messages.explain
        self._count = count

    async def Deliver(self, request: gateway_pb2.DeliverRequest, context: Context) -> gateway_pb2.DeliverResponse:
        messages = [_downlink(message) for message in request.messages]
        deliver = self._delivery.deliver_here if request.forwarded else self._delivery.deliver
        outcomes = await deliver(messages, request.wait_ms)
        if not request.forwarded:
            self._count_outcomes(outcomes)
        return gateway_pb2.DeliverResponse(
            deliveries=[
                gateway_pb2.Delivery(message_id=message.message_id, outcome=_OUTCOMES[outcome])
                for message, outcome in zip(messages, outcomes, strict=True)
            ]
        )

    async def Request(self, request: gateway_pb2.RequestRequest, context: Context) -> gateway_pb2.RequestResponse:
        ask = self._requests.request_here if request.forwarded else self._requests.request
        answer = await ask(_device(request.device), request.payload, request.topic, request.timeout_ms)
        if not request.forwarded:
            self._count(f"rrpc_{answer.code}")
        return _answer(answer)

    async def Broadcast(self, request: gateway_pb2.BroadcastRequest, context: Context) -> gateway_pb2.BroadcastResponse:
        wanted = Broadcast(request.product_key, request.topic, request.payload, request.message_id)
        send = self._broadcasts.broadcast_here if request.forwarded else self._broadcasts.broadcast
        reached = await send(wanted)
        return gateway_pb2.BroadcastResponse(
            sent=reached.sent,
            no_subscriber=reached.no_subscriber,
            failed=reached.failed,
            unreachable=reached.unreachable,
        )

    async def Kick(self, request: gateway_pb2.KickRequest, context: Context) -> gateway_pb2.KickResponse:
        targets = [
            KickTarget(_device(one.device), one.max_epoch, one.reason or "kicked", one.bar_seconds)
            for one in request.targets
        ]
        kick = self._kicks.end if request.forwarded else self._kicks.kick
        return gateway_pb2.KickResponse(
            results=[gateway_pb2.KickResult(kicked=kicked) for kicked in await kick(targets)]
        )

    async def GetSessions(
        self, request: gateway_pb2.GetSessionsRequest, context: Context
    ) -> gateway_pb2.GetSessionsResponse:
        located = await self._lookup.sessions([_device(device) for device in request.devices])
        return gateway_pb2.GetSessionsResponse(sessions=[_session(one) for one in located])

    async def Explain(self, request: gateway_pb2.ExplainRequest, context: Context) -> gateway_pb2.ExplainResponse:
        devices = [_device(device) for device in request.devices]
        if request.forwarded:
            lives = await self._explain.live_here(devices)
            return gateway_pb2.ExplainResponse(
                explanations=[gateway_pb2.Explanation(live=live_session(live)) for live in lives]
            )
        explained = await self._explain.explain(devices)
        return gateway_pb2.ExplainResponse(
            explanations=[explanation(one, _session(one.session)) for one in explained],
            sampled_every=self._explain.sampled_every,
        )

    async def Respond(self, request: gateway_pb2.RespondRequest, context: Context) -> gateway_pb2.RespondResponse:
        self._requests.respond(
            [Response(one.message_id, _device(one.device), one.payload) for one in request.responses]
        )
        return gateway_pb2.RespondResponse()

    def _count_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._count(f"deliver_{outcome}")


def _device(device: device_pb2.DeviceId) -> Device:
    """Raises DeviceMissing. Braces would move a key to another slot."""
    names = device.product_key + device.device_name
    if not device.product_key or not device.device_name or "{" in names or "}" in names:
        raise DeviceMissing("a device is named by product_key and device_name")
    return Device(device.product_key, device.device_name)


def _downlink(message: gateway_pb2.Downlink) -> Downlink:
    return Downlink(
        _device(message.device),
        message.topic,
        message.payload,
        min(message.qos, 1),
        message.message_id,
        message.origin,
        message.handle,
        message.ttl_ms,
        message.sequence,
    )


def _answer(answer: Answer) -> gateway_pb2.RequestResponse:
    return gateway_pb2.RequestResponse(code=_CODES[answer.code], message_id=answer.message_id, payload=answer.payload)


def _session(located: Located | None) -> gateway_pb2.Session:
    if located is None:
        return gateway_pb2.Session(online=False)
    return gateway_pb2.Session(
        online=True,
        gateway=located.gateway,
        gateway_address=located.address,
        handle=located.handle,
        epoch=located.epoch,
        clean=located.clean,
        connected_ms=located.since_ms,
        client_address=located.client,
    )
