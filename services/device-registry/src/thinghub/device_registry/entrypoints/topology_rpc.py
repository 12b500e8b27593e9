"""Topology over gRPC."""

from typing import TypeAlias

import grpc

from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.entrypoints import translate
from thinghub.device_registry.service.sub_devices import SubDevices
from thinghubpb.device.v1 import device_pb2
from thinghubpb.registry.v1 import topology_pb2 as pb
from thinghubpb.registry.v1 import topology_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class TopologyRpc(topology_pb2_grpc.TopologyServiceServicer):
    """Implements thinghubpb.registry.v1.TopologyService."""

    def __init__(self, sub_devices: SubDevices) -> None:
        self._sub_devices = sub_devices

    async def CheckSubDevices(self, request: pb.CheckSubDevicesRequest, context: Context) -> pb.CheckSubDevicesResponse:
        held = await self._sub_devices.check(_device(request.gateway), [_device(one) for one in request.devices])
        return pb.CheckSubDevicesResponse(held=held)

    async def ListSubDevices(self, request: pb.ListSubDevicesRequest, context: Context) -> pb.ListSubDevicesResponse:
        devices, total = await self._sub_devices.page(
            request.instance_id, translate.ref(request.gateway), request.page, request.page_size
        )
        return pb.ListSubDevicesResponse(devices=map(translate.device_message, devices), total=total)

    async def GetGatewayOfSubDevice(
        self, request: pb.GetGatewayOfSubDeviceRequest, context: Context
    ) -> pb.GetGatewayOfSubDeviceResponse:
        gateway = await self._sub_devices.gateway_of(request.instance_id, translate.ref(request.ref))
        return pb.GetGatewayOfSubDeviceResponse(gateway=translate.device_message(gateway))

    async def AddSubDevices(self, request: pb.AddSubDevicesRequest, context: Context) -> pb.AddSubDevicesResponse:
        entries = [_entry(one) for one in request.proofs]
        await self._sub_devices.add(request.instance_id, translate.ref(request.gateway), entries)
        return pb.AddSubDevicesResponse()

    async def RemoveSubDevices(
        self, request: pb.RemoveSubDevicesRequest, context: Context
    ) -> pb.RemoveSubDevicesResponse:
        await self._sub_devices.remove(request.instance_id, [translate.ref(one) for one in request.refs])
        return pb.RemoveSubDevicesResponse()

    async def NotifyAddSubDevices(
        self, request: pb.NotifyAddSubDevicesRequest, context: Context
    ) -> pb.NotifyAddSubDevicesResponse:
        await self._sub_devices.notify_add(
            request.instance_id,
            translate.ref(request.gateway),
            [_device(one) for one in request.devices],
            request.message_id,
        )
        return pb.NotifyAddSubDevicesResponse()


def _device(message: device_pb2.DeviceId) -> DeviceId:
    return DeviceId(message.product_key, message.device_name)


def _entry(proof: pb.SubDeviceProof) -> dict[str, object]:
    return {
        "productKey": proof.device.product_key,
        "deviceName": proof.device.device_name,
        "clientId": proof.client_id,
        "timestamp": proof.timestamp,
        "signMethod": proof.sign_method,
        "sign": proof.sign,
    }
