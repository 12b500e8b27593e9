"""Replies and commands of the thing model by the gateways' Deliver."""

from collections import Counter
from collections.abc import Mapping, Sequence

import grpc.aio

from thinghub.shadow.ports.things import Sending
from thinghubpb.device.v1 import device_pb2
from thinghubpb.gateway.v1 import gateway_pb2, gateway_pb2_grpc

MAX_MESSAGES = 500
_OUTCOMES = {value: name.removeprefix("OUTCOME_").lower() for name, value in gateway_pb2.Outcome.items()}


class GatewaySenders:
    """Implements `Senders` and `Commands`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._gateway = gateway_pb2_grpc.GatewayServiceStub(channel)

    async def send(self, messages: Sequence[Sending]) -> Mapping[str, int]:
        return Counter(await self.outcomes(messages))

    async def outcomes(self, messages: Sequence[Sending]) -> list[str]:
        outcomes: list[str] = []
        for start in range(0, len(messages), MAX_MESSAGES):
            chunk = messages[start : start + MAX_MESSAGES]
            response = await self._gateway.Deliver(gateway_pb2.DeliverRequest(messages=map(_message, chunk)))
            outcomes.extend(_OUTCOMES.get(one.outcome, "failed") for one in response.deliveries)
        return outcomes


def _message(one: Sending) -> gateway_pb2.Downlink:
    return gateway_pb2.Downlink(
        device=device_pb2.DeviceId(product_key=one.device.product_key, device_name=one.device.device_name),
        topic=one.topic,
        payload=one.payload,
        qos=one.qos,
        message_id=one.message_id,
        origin=one.origin,
        handle=one.handle,
    )
