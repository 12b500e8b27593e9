"""Which sub-devices stand behind which gateway, from device-registry."""

from collections.abc import Sequence

import grpc.aio

from thinghub.shadow.ports.documents import Device
from thinghubpb.device.v1 import device_pb2
from thinghubpb.registry.v1 import topology_pb2, topology_pb2_grpc

# What the registry takes in one call.
MAX_BATCH = 500


class RegistryTopology:
    """Implements `Topology`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._topology = topology_pb2_grpc.TopologyServiceStub(channel)

    async def held(self, gateway: Device, devices: Sequence[Device]) -> list[bool]:
        held: list[bool] = []
        for start in range(0, len(devices), MAX_BATCH):
            request = topology_pb2.CheckSubDevicesRequest(
                gateway=_id(gateway), devices=map(_id, devices[start : start + MAX_BATCH])
            )
            held.extend((await self._topology.CheckSubDevices(request)).held)
        return held


def _id(device: Device) -> device_pb2.DeviceId:
    return device_pb2.DeviceId(product_key=device.product_key, device_name=device.device_name)
