"""Requests to devices that are waited for, by the gateways' Request."""

from collections.abc import Mapping
from typing import Final

import grpc.aio

from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.thing_calls import Ended, Exchange
from thinghubpb.device.v1 import device_pb2
from thinghubpb.gateway.v1 import gateway_pb2, gateway_pb2_grpc

# What the gateway may need beyond the wait itself.
GRACE_S: Final = 2.0
_ENDED: Final[Mapping[int, Ended]] = {
    gateway_pb2.RequestResponse.CODE_SUCCESS: Ended.ANSWERED,
    gateway_pb2.RequestResponse.CODE_TIMEOUT: Ended.TIMEOUT,
    gateway_pb2.RequestResponse.CODE_OFFLINE: Ended.OFFLINE,
    gateway_pb2.RequestResponse.CODE_HALFCONN: Ended.HALF_CONNECTED,
}


class GatewayRequests:
    """Implements `Requests`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._gateway = gateway_pb2_grpc.GatewayServiceStub(channel)

    async def request(self, device: Device, topic: str, payload: bytes, timeout_ms: int) -> Exchange:
        request = gateway_pb2.RequestRequest(
            device=device_pb2.DeviceId(product_key=device.product_key, device_name=device.device_name),
            payload=payload,
            topic=topic,
            timeout_ms=timeout_ms,
        )
        response = await self._gateway.Request(request, timeout=timeout_ms / 1000 + GRACE_S)
        return Exchange(_ENDED.get(response.code, Ended.NOT_SENT), response.payload)
