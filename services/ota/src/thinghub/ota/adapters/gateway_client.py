"""Messages to devices, by the gateways' Deliver: any gateway takes a batch and forwards by owner."""

from collections.abc import Sequence

import grpc

from thinghub.ota.ports.others import Downlink, Told
from thinghubpb.device.v1 import device_pb2
from thinghubpb.gateway.v1 import gateway_pb2 as pb
from thinghubpb.gateway.v1 import gateway_pb2_grpc

WAIT_MS = 3000  # for the device's PUBACK
TIMEOUT_S = 6.0

_TOLD = {
    pb.OUTCOME_DELIVERED: Told.TOLD,
    pb.OUTCOME_SENT: Told.TOLD,
    pb.OUTCOME_QUEUED: Told.TOLD,
    pb.OUTCOME_DISPLACED: Told.TOLD,
    pb.OUTCOME_OFFLINE: Told.OFFLINE,
}


class GatewayDevices:
    """Implements `Devices`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._gateway = gateway_pb2_grpc.GatewayServiceStub(channel)

    async def deliver(self, messages: Sequence[Downlink]) -> Sequence[Told]:
        request = pb.DeliverRequest(messages=map(_downlink, messages), wait_ms=WAIT_MS)
        answer = await self._gateway.Deliver(request, timeout=TIMEOUT_S)
        return [_TOLD.get(one.outcome, Told.NOT_YET) for one in answer.deliveries]


def _downlink(message: Downlink) -> pb.Downlink:
    product_key, device_name = message.device
    return pb.Downlink(
        device=device_pb2.DeviceId(product_key=product_key, device_name=device_name),
        topic=message.topic,
        payload=message.payload,
        qos=1,
        message_id=message.message_id,
        origin=message.origin,
        handle=message.handle,
    )
