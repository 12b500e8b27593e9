"""device-registry over gRPC: which sub-devices stand behind which gateway."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.values import Device, DeviceId, DeviceRef, SubDeviceProof
from thinghubpb.device.v1 import device_pb2
from thinghubpb.registry.v1 import registry_pb2
from thinghubpb.registry.v1 import topology_pb2 as pb
from thinghubpb.registry.v1.topology_pb2_grpc import TopologyServiceStub


class RpcTopology:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._topology = TopologyServiceStub(channel)

    async def sub_devices(
        self, instance_id: str, gateway: DeviceRef, page: int, page_size: int
    ) -> tuple[Sequence[Device], int]:
        request = pb.ListSubDevicesRequest(
            instance_id=instance_id, gateway=_ref(gateway), page=page, page_size=page_size
        )
        answer = await self._topology.ListSubDevices(request)
        return [value(Device, device) for device in answer.devices], answer.total

    async def gateway_of(self, instance_id: str, ref: DeviceRef) -> Device:
        request = pb.GetGatewayOfSubDeviceRequest(instance_id=instance_id, ref=_ref(ref))
        return value(Device, (await self._topology.GetGatewayOfSubDevice(request)).gateway)

    async def remove(self, instance_id: str, ref: DeviceRef) -> None:
        await self._topology.RemoveSubDevices(pb.RemoveSubDevicesRequest(instance_id=instance_id, refs=[_ref(ref)]))

    async def add(self, instance_id: str, gateway: DeviceRef, proofs: Sequence[SubDeviceProof]) -> None:
        request = pb.AddSubDevicesRequest(
            instance_id=instance_id,
            gateway=_ref(gateway),
            proofs=[message(pb.SubDeviceProof, one) for one in proofs],
        )
        await self._topology.AddSubDevices(request)

    async def notify_add(
        self, instance_id: str, gateway: DeviceRef, devices: Sequence[DeviceId], message_id: int
    ) -> None:
        await self._topology.NotifyAddSubDevices(
            pb.NotifyAddSubDevicesRequest(
                instance_id=instance_id,
                gateway=_ref(gateway),
                devices=[message(device_pb2.DeviceId, device) for device in devices],
                message_id=message_id,
            )
        )


def _ref(ref: DeviceRef) -> registry_pb2.DeviceRef:
    return message(registry_pb2.DeviceRef, ref)
