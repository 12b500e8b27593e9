"""device-registry's thing models over gRPC."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.adapters.messages import value
from thinghub.api_gateway.domain.values import ThingModelVersion
from thinghubpb.registry.v1 import things_pb2 as pb
from thinghubpb.registry.v1.things_pb2_grpc import ThingModelServiceStub


class RpcThingModels:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._models = ThingModelServiceStub(channel)

    async def import_tsl(self, instance_id: str, product_key: str, tsl: str, module: str, module_name: str) -> None:
        await self._models.ImportThingModel(
            pb.ImportThingModelRequest(
                instance_id=instance_id, product_key=product_key, tsl=tsl, module=module, module_name=module_name
            )
        )

    async def add(self, instance_id: str, product_key: str, functions: str, module: str, module_name: str) -> None:
        await self._models.AddThingModelFunctions(
            pb.AddThingModelFunctionsRequest(
                instance_id=instance_id,
                product_key=product_key,
                functions=functions,
                module=module,
                module_name=module_name,
            )
        )

    async def publish(self, instance_id: str, product_key: str, model_version: str, description: str) -> None:
        await self._models.PublishThingModel(
            pb.PublishThingModelRequest(
                instance_id=instance_id, product_key=product_key, model_version=model_version, description=description
            )
        )

    async def get(
        self, instance_id: str, product_key: str, published: bool, model_version: str, module: str, simple: bool
    ) -> str:
        request = pb.GetThingModelRequest(
            instance_id=instance_id,
            product_key=product_key,
            published=published,
            model_version=model_version,
            module=module,
            simple=simple,
        )
        return (await self._models.GetThingModel(request)).tsl

    async def versions(self, instance_id: str, product_key: str) -> Sequence[ThingModelVersion]:
        request = pb.ListThingModelVersionsRequest(instance_id=instance_id, product_key=product_key)
        return [value(ThingModelVersion, one) for one in (await self._models.ListThingModelVersions(request)).versions]
