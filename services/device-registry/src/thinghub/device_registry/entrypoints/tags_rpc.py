"""Tags of devices over gRPC."""

from typing import TypeAlias

import grpc

from thinghub.device_registry.entrypoints import translate
from thinghub.device_registry.service.tags import Tags
from thinghubpb.registry.v1 import tags_pb2 as pb
from thinghubpb.registry.v1 import tags_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class TagsRpc(tags_pb2_grpc.TagServiceServicer):
    """Implements thinghubpb.registry.v1.TagService."""

    def __init__(self, tags: Tags) -> None:
        self._tags = tags

    async def SaveDeviceTags(self, request: pb.SaveDeviceTagsRequest, context: Context) -> pb.SaveDeviceTagsResponse:
        await self._tags.save(request.instance_id, translate.ref(request.ref), dict(request.tags))
        return pb.SaveDeviceTagsResponse()

    async def GetDeviceTags(self, request: pb.GetDeviceTagsRequest, context: Context) -> pb.GetDeviceTagsResponse:
        user, system = await self._tags.get(request.instance_id, translate.ref(request.ref))
        return pb.GetDeviceTagsResponse(tags=user, system_tags=system)

    async def DeleteDeviceTag(self, request: pb.DeleteDeviceTagRequest, context: Context) -> pb.DeleteDeviceTagResponse:
        await self._tags.remove(request.instance_id, translate.ref(request.ref), request.key)
        return pb.DeleteDeviceTagResponse()
