"""device-registry over gRPC: tags of devices."""

from collections.abc import Mapping

import grpc

from thinghub.api_gateway.adapters.messages import message
from thinghub.api_gateway.domain.values import DeviceRef
from thinghubpb.registry.v1 import registry_pb2
from thinghubpb.registry.v1 import tags_pb2 as pb
from thinghubpb.registry.v1.tags_pb2_grpc import TagServiceStub


class RpcTags:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._tags = TagServiceStub(channel)

    async def save(self, instance_id: str, ref: DeviceRef, tags: Mapping[str, str]) -> None:
        await self._tags.SaveDeviceTags(
            pb.SaveDeviceTagsRequest(instance_id=instance_id, ref=message(registry_pb2.DeviceRef, ref), tags=tags)
        )

    async def get(self, instance_id: str, ref: DeviceRef) -> tuple[Mapping[str, str], Mapping[str, str]]:
        answer = await self._tags.GetDeviceTags(
            pb.GetDeviceTagsRequest(instance_id=instance_id, ref=message(registry_pb2.DeviceRef, ref))
        )
        return dict(answer.tags), dict(answer.system_tags)

    async def delete(self, instance_id: str, ref: DeviceRef, key: str) -> None:
        await self._tags.DeleteDeviceTag(
            pb.DeleteDeviceTagRequest(instance_id=instance_id, ref=message(registry_pb2.DeviceRef, ref), key=key)
        )
