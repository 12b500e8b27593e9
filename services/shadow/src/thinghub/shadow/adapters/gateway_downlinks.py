"""Messages to devices by the gateways' Deliver: any gateway takes a batch and forwards by owner."""

from collections import Counter
from collections.abc import Mapping, Sequence

import grpc.aio

from thinghub.shadow.domain.document_replies import topic
from thinghub.shadow.ports.documents import Downlink
from thinghubpb.device.v1 import device_pb2
from thinghubpb.gateway.v1 import gateway_pb2, gateway_pb2_grpc

# A document and its metadata stay below 64 kB, so a batch stays below what a call may carry.
MAX_MESSAGES = 200
_OUTCOMES = {value: name.removeprefix("OUTCOME_").lower() for name, value in gateway_pb2.Outcome.items()}


class GatewayDownlinks:
    """Implements `Downlinks`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._gateway = gateway_pb2_grpc.GatewayServiceStub(channel)

    async def deliver(self, messages: Sequence[Downlink]) -> Mapping[str, int]:
        outcomes: Counter[str] = Counter()
        for start in range(0, len(messages), MAX_MESSAGES):
            chunk = messages[start : start + MAX_MESSAGES]
            request = gateway_pb2.DeliverRequest(messages=map(_message, chunk))
            response = await self._gateway.Deliver(request)
            outcomes.update(_OUTCOMES.get(one.outcome, "failed") for one in response.deliveries)
        return outcomes


def _message(downlink: Downlink) -> gateway_pb2.Downlink:
    product_key, device_name = downlink.device
    return gateway_pb2.Downlink(
        device=device_pb2.DeviceId(product_key=product_key, device_name=device_name),
        topic=topic(product_key, device_name),
        payload=downlink.payload,
        qos=1,
        message_id=downlink.message_id,
        origin=downlink.origin,
        handle=downlink.handle,
    )
