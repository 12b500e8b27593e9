"""Messages to devices, by the gateways' Deliver: any gateway takes a batch and forwards by owner."""

from collections.abc import Iterator, Sequence

import grpc.aio

from thinghub.rule_engine.ports.messages import Delivered, PlatformMessage
from thinghubpb.device.v1 import device_pb2
from thinghubpb.gateway.v1 import gateway_pb2, gateway_pb2_grpc

MAX_MESSAGES = 500
MAX_BYTES = 4_000_000

_OUTCOMES = {
    gateway_pb2.OUTCOME_DELIVERED: Delivered.DELIVERED,
    gateway_pb2.OUTCOME_SENT: Delivered.SENT,
    gateway_pb2.OUTCOME_QUEUED: Delivered.QUEUED,
    gateway_pb2.OUTCOME_DISPLACED: Delivered.QUEUED,
    gateway_pb2.OUTCOME_NO_SUBSCRIBER: Delivered.NO_SUBSCRIBER,
    gateway_pb2.OUTCOME_OFFLINE: Delivered.OFFLINE,
    gateway_pb2.OUTCOME_TIMEOUT: Delivered.TIMEOUT,
    gateway_pb2.OUTCOME_EXPIRED: Delivered.EXPIRED,
}


class GatewayDevices:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._gateway = gateway_pb2_grpc.GatewayServiceStub(channel)

    async def deliver(self, messages: Sequence[PlatformMessage]) -> list[Delivered]:
        found: list[Delivered] = []
        for chunk in chunks(messages, MAX_MESSAGES, MAX_BYTES):
            request = gateway_pb2.DeliverRequest(messages=[_downlink(message) for message in chunk])
            response = await self._gateway.Deliver(request)
            found += [_OUTCOMES.get(delivery.outcome, Delivered.FAILED) for delivery in response.deliveries]
        return found


def _downlink(message: PlatformMessage) -> gateway_pb2.Downlink:
    return gateway_pb2.Downlink(
        device=device_pb2.DeviceId(product_key=message.product_key, device_name=message.device_name),
        topic=message.topic,
        payload=message.payload,
        qos=message.qos,
        message_id=message.id,
    )


def chunks(messages: Sequence[PlatformMessage], most: int, most_bytes: int) -> Iterator[list[PlatformMessage]]:
    """In order; a message larger than the bound stands alone."""
    chunk: list[PlatformMessage] = []
    size = 0
    for message in messages:
        if chunk and (len(chunk) >= most or size + len(message.payload) > most_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(message)
        size += len(message.payload)
    if chunk:
        yield chunk
