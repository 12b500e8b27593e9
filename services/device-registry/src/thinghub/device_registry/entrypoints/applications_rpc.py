"""Applications over gRPC: many devices at once."""

from typing import TypeAlias

import grpc

from thinghub.device_registry.entrypoints import translate
from thinghub.device_registry.service.applications import Applications
from thinghub.device_registry.service.devices import Devices
from thinghubpb.registry.v1 import registry_pb2 as pb
from thinghubpb.registry.v1 import registry_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class ApplicationsRpc(registry_pb2_grpc.RegistryServiceServicer):
    def __init__(self, applications: Applications, devices: Devices) -> None:
        self._applications = applications
        self._devices = devices

    async def CreateApplication(
        self, request: pb.CreateApplicationRequest, context: Context
    ) -> pb.CreateApplicationResponse:
        place = request.instance_id, request.product_key
        if request.devices:
            applied = await self._applications.check(*place, [translate.wanted(one) for one in request.devices])
        else:
            applied = await self._applications.count(*place, request.count)
        return pb.CreateApplicationResponse(
            apply_id=applied.apply_id, refused=map(translate.refused_message, applied.refused)
        )

    async def StartApplication(
        self, request: pb.StartApplicationRequest, context: Context
    ) -> pb.StartApplicationResponse:
        await self._applications.start(request.instance_id, request.product_key, request.apply_id)
        return pb.StartApplicationResponse()

    async def GetApplication(self, request: pb.GetApplicationRequest, context: Context) -> pb.GetApplicationResponse:
        found = await self._applications.get(request.instance_id, request.product_key, request.apply_id)
        return pb.GetApplicationResponse(
            state=translate.STATES[found.state],
            names=found.names,
            refused=map(translate.refused_message, found.refused),
        )

    async def ListApplicationDevices(
        self, request: pb.ListApplicationDevicesRequest, context: Context
    ) -> pb.ListApplicationDevicesResponse:
        devices, total = await self._applications.devices(
            request.instance_id, request.apply_id, request.page, request.page_size
        )
        secrets = await self._devices.secrets(devices) if request.with_secrets else [""] * len(devices)
        return pb.ListApplicationDevicesResponse(devices=map(translate.device_message, devices, secrets), total=total)

    async def ImportDevices(self, request: pb.ImportDevicesRequest, context: Context) -> pb.ImportDevicesResponse:
        applied = await self._applications.import_devices(
            request.instance_id, request.product_key, [translate.wanted(one) for one in request.devices]
        )
        return pb.ImportDevicesResponse(
            apply_id=applied.apply_id, refused=map(translate.refused_message, applied.refused)
        )
