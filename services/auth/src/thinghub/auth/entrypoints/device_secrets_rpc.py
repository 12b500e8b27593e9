"""Rotation of device secrets over gRPC, `thinghubpb.auth.v1.DeviceSecretService`."""

from collections.abc import Callable
from typing import TypeAlias

import grpc

from thinghub.auth.domain.rotation import Rotation
from thinghub.auth.entrypoints.translate import device
from thinghub.auth.service.rotations import Rotations
from thinghubpb.auth.v1 import device_secrets_pb2 as pb
from thinghubpb.auth.v1 import device_secrets_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class DeviceSecretsRpc(device_secrets_pb2_grpc.DeviceSecretServiceServicer):
    """Implements thinghubpb.auth.v1.DeviceSecretService. `clock_ms` gives epoch milliseconds."""

    def __init__(self, rotations: Rotations, clock_ms: Callable[[], int]) -> None:
        self._rotations = rotations
        self._clock_ms = clock_ms

    async def RotateDeviceSecret(
        self, request: pb.RotateDeviceSecretRequest, context: Context
    ) -> pb.RotateDeviceSecretResponse:
        secret, rotation = await self._rotations.rotate(
            device(request.device), request.device_secret, request.overlap_ms
        )
        return pb.RotateDeviceSecretResponse(device_secret=secret, rotation=self._message(rotation))

    async def FinishDeviceSecretRotation(
        self, request: pb.FinishDeviceSecretRotationRequest, context: Context
    ) -> pb.FinishDeviceSecretRotationResponse:
        rotation = await self._rotations.finish(device(request.device), request.keep_former)
        return pb.FinishDeviceSecretRotationResponse(rotation=self._message(rotation))

    async def GetDeviceSecretRotations(
        self, request: pb.GetDeviceSecretRotationsRequest, context: Context
    ) -> pb.GetDeviceSecretRotationsResponse:
        rotations = await self._rotations.get([device(one) for one in request.devices])
        return pb.GetDeviceSecretRotationsResponse(rotations=map(self._message, rotations))

    def _message(self, rotation: Rotation | None) -> pb.DeviceSecretRotation:
        if rotation is None:
            return pb.DeviceSecretRotation()
        return pb.DeviceSecretRotation(
            started_ms=rotation.started_ms,
            former_until_ms=rotation.former_until_ms,
            adopted_ms=rotation.adopted_ms,
            under_way=rotation.under_way(self._clock_ms()),
        )
