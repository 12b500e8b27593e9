"""device-registry over gRPC: many devices at once."""

from collections.abc import Iterable, Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.values import (
    Application,
    ApplicationState,
    Device,
    DeviceCounts,
    DeviceStatus,
    RefusedDevice,
    WantedDevice,
)
from thinghubpb.registry.v1 import registry_pb2 as pb
from thinghubpb.registry.v1.registry_pb2_grpc import RegistryServiceStub

BATCH_SECONDS = 12.0


class RpcApplications:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._registry = RegistryServiceStub(channel)

    async def check(
        self, instance_id: str, product_key: str, wanted: Sequence[WantedDevice]
    ) -> tuple[int, Sequence[RefusedDevice]]:
        request = pb.CreateApplicationRequest(
            instance_id=instance_id, product_key=product_key, devices=[message(pb.WantedDevice, one) for one in wanted]
        )
        answer = await self._registry.CreateApplication(request, timeout=BATCH_SECONDS)
        return answer.apply_id, _refused(answer.refused)

    async def count(self, instance_id: str, product_key: str, count: int) -> int:
        # Out of what an int32 has it is out of range as well.
        request = pb.CreateApplicationRequest(
            instance_id=instance_id, product_key=product_key, count=max(min(count, 2**31 - 1), 0)
        )
        return (await self._registry.CreateApplication(request, timeout=BATCH_SECONDS)).apply_id

    async def start(self, instance_id: str, product_key: str, apply_id: int) -> None:
        request = pb.StartApplicationRequest(instance_id=instance_id, product_key=product_key, apply_id=apply_id)
        await self._registry.StartApplication(request)

    async def get(self, instance_id: str, product_key: str, apply_id: int) -> Application:
        request = pb.GetApplicationRequest(instance_id=instance_id, product_key=product_key, apply_id=apply_id)
        answer = await self._registry.GetApplication(request)
        return Application(ApplicationState(answer.state), list(answer.names), _refused(answer.refused))

    async def devices(
        self, instance_id: str, apply_id: int, page: int, page_size: int, with_secrets: bool
    ) -> tuple[Sequence[Device], int]:
        request = pb.ListApplicationDevicesRequest(
            instance_id=instance_id, apply_id=apply_id, page=page, page_size=page_size, with_secrets=with_secrets
        )
        answer = await self._registry.ListApplicationDevices(request)
        return [value(Device, device) for device in answer.devices], answer.total

    async def import_devices(
        self, instance_id: str, product_key: str, wanted: Sequence[WantedDevice]
    ) -> tuple[int, Sequence[RefusedDevice]]:
        request = pb.ImportDevicesRequest(
            instance_id=instance_id, product_key=product_key, devices=[message(pb.WantedDevice, one) for one in wanted]
        )
        answer = await self._registry.ImportDevices(request, timeout=BATCH_SECONDS)
        return answer.apply_id, _refused(answer.refused)

    async def by_status(
        self, instance_id: str, product_key: str, status: DeviceStatus, page: int, page_size: int, with_secrets: bool
    ) -> tuple[Sequence[Device], int]:
        request = pb.ListDevicesRequest(
            instance_id=instance_id,
            product_key=product_key,
            status=pb.DeviceStatus.ValueType(status.value),
            page=page,
            page_size=page_size,
            with_secrets=with_secrets,
        )
        answer = await self._registry.ListDevices(request)
        return [value(Device, device) for device in answer.devices], answer.total

    async def statistics(self, instance_id: str, product_key: str) -> DeviceCounts:
        request = pb.CountDevicesRequest(instance_id=instance_id, product_key=product_key)
        return value(DeviceCounts, await self._registry.CountDevices(request))


def _refused(messages: Iterable[pb.RefusedDevice]) -> list[RefusedDevice]:
    return [value(RefusedDevice, one) for one in messages]
