"""Thing models over gRPC."""

from typing import TypeAlias

import grpc

from thinghub.device_registry.domain.thing_models import EffectiveThingModel
from thinghub.device_registry.service.thing_models import ThingModels
from thinghubpb.registry.v1 import things_pb2 as pb
from thinghubpb.registry.v1 import things_pb2_grpc

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class ThingModelRpc(things_pb2_grpc.ThingModelServiceServicer):
    """Implements thinghubpb.registry.v1.ThingModelService."""

    def __init__(self, models: ThingModels) -> None:
        self._models = models

    async def ImportThingModel(
        self, request: pb.ImportThingModelRequest, context: Context
    ) -> pb.ImportThingModelResponse:
        await self._models.import_tsl(
            request.instance_id, request.product_key, request.tsl, request.module, request.module_name
        )
        return pb.ImportThingModelResponse()

    async def AddThingModelFunctions(
        self, request: pb.AddThingModelFunctionsRequest, context: Context
    ) -> pb.AddThingModelFunctionsResponse:
        await self._models.add(
            request.instance_id, request.product_key, request.functions, request.module, request.module_name
        )
        return pb.AddThingModelFunctionsResponse()

    async def PublishThingModel(
        self, request: pb.PublishThingModelRequest, context: Context
    ) -> pb.PublishThingModelResponse:
        version, named = await self._models.publish(
            request.instance_id, request.product_key, request.model_version, request.description
        )
        return pb.PublishThingModelResponse(version=version, model_version=named)

    async def GetThingModel(self, request: pb.GetThingModelRequest, context: Context) -> pb.GetThingModelResponse:
        tsl = await self._models.get(
            request.instance_id,
            request.product_key,
            request.published,
            request.model_version,
            request.module,
            request.simple,
        )
        return pb.GetThingModelResponse(tsl=tsl)

    async def ListThingModelVersions(
        self, request: pb.ListThingModelVersionsRequest, context: Context
    ) -> pb.ListThingModelVersionsResponse:
        versions = await self._models.versions(request.instance_id, request.product_key)
        return pb.ListThingModelVersionsResponse(
            versions=[
                pb.ThingModelVersion(
                    version=one.version,
                    model_version=one.model_version,
                    description=one.description,
                    created_ms=one.created_ms,
                )
                for one in versions
            ]
        )

    async def GetEffectiveThingModels(
        self, request: pb.GetEffectiveThingModelsRequest, context: Context
    ) -> pb.GetEffectiveThingModelsResponse:
        found = await self._models.effective(list(request.product_keys))
        return pb.GetEffectiveThingModelsResponse(
            models=[
                _effective(found[key]) if key in found else pb.EffectiveThingModel(product_key=key)
                for key in request.product_keys
            ]
        )


def _effective(one: EffectiveThingModel) -> pb.EffectiveThingModel:
    return pb.EffectiveThingModel(
        found=True,
        product_key=one.product_key,
        version=one.version,
        tsl=one.tsl,
        validate_type=one.validate_type,
        not_stored=one.not_stored,
        instance_id=one.instance_id,
        device_type=one.device_type,
    )
