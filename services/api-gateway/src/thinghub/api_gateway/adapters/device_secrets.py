"""Rotation of device secrets, which auth keeps, over gRPC."""

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.rotation import SecretRotation
from thinghub.api_gateway.domain.values import DeviceId
from thinghubpb.auth.v1 import device_secrets_pb2 as pb
from thinghubpb.auth.v1.device_secrets_pb2_grpc import DeviceSecretServiceStub
from thinghubpb.device.v1 import device_pb2


class RpcDeviceSecrets:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._secrets = DeviceSecretServiceStub(channel)

    async def rotate(self, device: DeviceId, secret: str, overlap_ms: int) -> tuple[str, SecretRotation]:
        request = pb.RotateDeviceSecretRequest(
            device=message(device_pb2.DeviceId, device), device_secret=secret, overlap_ms=overlap_ms
        )
        answer = await self._secrets.RotateDeviceSecret(request)
        return answer.device_secret, value(SecretRotation, answer.rotation)

    async def finish(self, device: DeviceId, keep_former: bool) -> SecretRotation:
        request = pb.FinishDeviceSecretRotationRequest(
            device=message(device_pb2.DeviceId, device), keep_former=keep_former
        )
        return value(SecretRotation, (await self._secrets.FinishDeviceSecretRotation(request)).rotation)

    async def rotation(self, device: DeviceId) -> SecretRotation:
        request = pb.GetDeviceSecretRotationsRequest(devices=[message(device_pb2.DeviceId, device)])
        (found,) = (await self._secrets.GetDeviceSecretRotations(request)).rotations
        return value(SecretRotation, found)
