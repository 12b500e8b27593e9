"""device-registry over gRPC: instances, products, devices, topic classes."""

from collections.abc import Sequence

import grpc

from thinghub.api_gateway.adapters.messages import message, value
from thinghub.api_gateway.domain.values import (
    Device,
    DeviceRef,
    Instance,
    Limits,
    NewDevice,
    Policy,
    Product,
    TopicClass,
)
from thinghubpb.registry.v1 import registry_pb2 as pb
from thinghubpb.registry.v1.registry_pb2_grpc import RegistryServiceStub


class RpcInstances:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._registry = RegistryServiceStub(channel)

    async def create(self, instance_id: str, name: str) -> Instance:
        made = await self._registry.CreateInstance(pb.CreateInstanceRequest(instance_id=instance_id, name=name))
        return value(Instance, made.instance)

    async def list(self, after: str, limit: int) -> Sequence[Instance]:
        answer = await self._registry.ListInstances(pb.ListInstancesRequest(after=after, limit=limit))
        return [value(Instance, instance) for instance in answer.instances]


class RpcProducts:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._registry = RegistryServiceStub(channel)

    async def create(self, product: Product) -> Product:
        request = pb.CreateProductRequest(product=message(pb.Product, product))
        return value(Product, (await self._registry.CreateProduct(request)).product)

    async def get(self, instance_id: str, product_key: str, with_secret: bool) -> Product:
        request = pb.GetProductRequest(instance_id=instance_id, product_key=product_key, with_secret=with_secret)
        return value(Product, (await self._registry.GetProduct(request)).product)

    async def list(
        self, instance_id: str, commodity_code: str, page: int, page_size: int
    ) -> tuple[Sequence[Product], int]:
        request = pb.ListProductsRequest(
            instance_id=instance_id, commodity_code=commodity_code, page=page, page_size=page_size
        )
        answer = await self._registry.ListProducts(request)
        return [value(Product, product) for product in answer.products], answer.total

    async def delete(self, instance_id: str, product_key: str) -> None:
        await self._registry.DeleteProduct(pb.DeleteProductRequest(instance_id=instance_id, product_key=product_key))

    async def set_limits(self, instance_id: str, product_key: str, limits: Limits) -> int:
        request = pb.SetProductLimitsRequest(
            instance_id=instance_id, product_key=product_key, limits=message(pb.Limits, limits)
        )
        return (await self._registry.SetProductLimits(request)).version

    async def policy(self, product_key: str) -> Policy:
        request = pb.GetProductPoliciesRequest(product_keys=[product_key])
        (policy,) = (await self._registry.GetProductPolicies(request)).policies
        classes = tuple(value(TopicClass, cls) for cls in policy.topic_classes)
        return Policy(policy.found, policy.instance_id, classes, value(Limits, policy.limits), policy.not_stored)


class RpcDevices:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._registry = RegistryServiceStub(channel)

    async def register(self, device: NewDevice) -> Device:
        answer = await self._registry.RegisterDevice(message(pb.RegisterDeviceRequest, device))
        return value(Device, answer.device)

    async def get(self, instance_id: str, refs: Sequence[DeviceRef], with_secrets: bool) -> Sequence[Device | None]:
        request = pb.GetDevicesRequest(
            instance_id=instance_id, refs=[message(pb.DeviceRef, ref) for ref in refs], with_secrets=with_secrets
        )
        answer = await self._registry.GetDevices(request)
        return [value(Device, found.device) if found.found else None for found in answer.devices]

    async def list(
        self, instance_id: str, product_key: str, next_token: str, page: int, page_size: int, with_secrets: bool
    ) -> tuple[Sequence[Device], int, str]:
        request = pb.ListDevicesRequest(
            instance_id=instance_id,
            product_key=product_key,
            next_token=next_token,
            page=page,
            page_size=page_size,
            with_secrets=with_secrets,
        )
        answer = await self._registry.ListDevices(request)
        return [value(Device, device) for device in answer.devices], answer.total, answer.next_token

    async def set_enabled(self, instance_id: str, ref: DeviceRef, enabled: bool) -> None:
        request = pb.SetDeviceEnabledRequest(instance_id=instance_id, ref=message(pb.DeviceRef, ref), enabled=enabled)
        await self._registry.SetDeviceEnabled(request)

    async def delete(self, instance_id: str, ref: DeviceRef) -> None:
        request = pb.DeleteDeviceRequest(instance_id=instance_id, ref=message(pb.DeviceRef, ref))
        await self._registry.DeleteDevice(request)


class RpcTopicClasses:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._registry = RegistryServiceStub(channel)

    async def create(self, instance_id: str, topic_class: TopicClass) -> int:
        request = pb.CreateTopicClassRequest(instance_id=instance_id, topic_class=message(pb.TopicClass, topic_class))
        return (await self._registry.CreateTopicClass(request)).topic_id

    async def list(self, instance_id: str, product_key: str) -> Sequence[TopicClass]:
        request = pb.ListTopicClassesRequest(instance_id=instance_id, product_key=product_key)
        return [value(TopicClass, cls) for cls in (await self._registry.ListTopicClasses(request)).topic_classes]
