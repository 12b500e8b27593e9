"""device-registry over gRPC: protobuf in, values to the services, protobuf out. Faults pass through as they are."""

from typing import TypeAlias

import grpc

from thinghub.device_registry.entrypoints import translate
from thinghub.device_registry.entrypoints.applications_rpc import ApplicationsRpc
from thinghub.device_registry.service.applications import Applications
from thinghub.device_registry.service.devices import Devices, Registration
from thinghub.device_registry.service.instances import Instances
from thinghub.device_registry.service.policies import PolicyReader
from thinghub.device_registry.service.products import Products
from thinghubpb.registry.v1 import registry_pb2 as pb

Context: TypeAlias = "grpc.aio.ServicerContext[object, object]"


class RegistryRpc(ApplicationsRpc):
    """Implements thinghubpb.registry.v1.RegistryService."""

    def __init__(
        self,
        instances: Instances,
        products: Products,
        devices: Devices,
        policies: PolicyReader,
        applications: Applications,
    ) -> None:
        super().__init__(applications, devices)
        self._instances = instances
        self._products = products
        self._policies = policies

    async def CreateInstance(self, request: pb.CreateInstanceRequest, context: Context) -> pb.CreateInstanceResponse:
        instance = await self._instances.create(request.instance_id, request.name)
        return pb.CreateInstanceResponse(instance=translate.instance_message(instance))

    async def ListInstances(self, request: pb.ListInstancesRequest, context: Context) -> pb.ListInstancesResponse:
        instances = await self._instances.list(request.after, request.limit)
        return pb.ListInstancesResponse(instances=map(translate.instance_message, instances))

    async def CreateProduct(self, request: pb.CreateProductRequest, context: Context) -> pb.CreateProductResponse:
        product, secret = await self._products.create(
            translate.product(request.product), request.product.product_secret
        )
        return pb.CreateProductResponse(product=translate.product_message(product, secret=secret))

    async def GetProduct(self, request: pb.GetProductRequest, context: Context) -> pb.GetProductResponse:
        counted = await self._products.get(request.instance_id, request.product_key)
        secret = await self._products.secret(request.product_key) if request.with_secret else ""
        return pb.GetProductResponse(product=translate.product_message(counted.product, counted.devices, secret))

    async def ListProducts(self, request: pb.ListProductsRequest, context: Context) -> pb.ListProductsResponse:
        products, total = await self._products.list(
            request.instance_id, request.commodity_code, request.page, request.page_size
        )
        return pb.ListProductsResponse(products=map(translate.counted_message, products), total=total)

    async def DeleteProduct(self, request: pb.DeleteProductRequest, context: Context) -> pb.DeleteProductResponse:
        await self._products.delete(request.instance_id, request.product_key)
        return pb.DeleteProductResponse()

    async def SetProductLimits(
        self, request: pb.SetProductLimitsRequest, context: Context
    ) -> pb.SetProductLimitsResponse:
        version = await self._products.set_limits(
            request.instance_id, request.product_key, translate.limits(request.limits)
        )
        return pb.SetProductLimitsResponse(version=version)

    async def RegisterDevice(self, request: pb.RegisterDeviceRequest, context: Context) -> pb.RegisterDeviceResponse:
        wanted = Registration(
            request.instance_id,
            request.product_key,
            request.device_name,
            request.nickname,
            request.iot_id,
            request.device_secret,
            request.sn,
        )
        device, secret = await self._devices.register(wanted)
        return pb.RegisterDeviceResponse(device=translate.device_message(device, secret))

    async def GetDevices(self, request: pb.GetDevicesRequest, context: Context) -> pb.GetDevicesResponse:
        found = await self._devices.get(request.instance_id, [translate.ref(one) for one in request.refs])
        devices = [device for device in found if device]
        secrets = await self._devices.secrets(devices) if request.with_secrets else [""] * len(devices)
        secret_of = {device.id: secret for device, secret in zip(devices, secrets, strict=True)}
        return pb.GetDevicesResponse(
            devices=[
                pb.FoundDevice(found=True, device=translate.device_message(device, secret_of[device.id]))
                if device
                else pb.FoundDevice()
                for device in found
            ]
        )

    async def ListDevices(self, request: pb.ListDevicesRequest, context: Context) -> pb.ListDevicesResponse:
        place = request.instance_id, request.product_key
        if presence := translate.PRESENCES.get(request.status):
            page = await self._devices.present(*place, presence, request.page, request.page_size)
        else:
            page = await self._devices.page(*place, request.page, request.page_size, request.next_token)
        secrets = await self._devices.secrets(page.devices) if request.with_secrets else [""] * len(page.devices)
        return pb.ListDevicesResponse(
            devices=map(translate.device_message, page.devices, secrets), total=page.total, next_token=page.next_token
        )

    async def SetDeviceEnabled(
        self, request: pb.SetDeviceEnabledRequest, context: Context
    ) -> pb.SetDeviceEnabledResponse:
        await self._devices.set_enabled(request.instance_id, translate.ref(request.ref), request.enabled)
        return pb.SetDeviceEnabledResponse()

    async def DeleteDevice(self, request: pb.DeleteDeviceRequest, context: Context) -> pb.DeleteDeviceResponse:
        await self._devices.delete(request.instance_id, translate.ref(request.ref))
        return pb.DeleteDeviceResponse()

    async def CountDevices(self, request: pb.CountDevicesRequest, context: Context) -> pb.CountDevicesResponse:
        counts = await self._devices.count(request.instance_id, request.product_key)
        return pb.CountDevicesResponse(devices=counts.devices, online=counts.online, active=counts.active)

    async def CreateTopicClass(
        self, request: pb.CreateTopicClassRequest, context: Context
    ) -> pb.CreateTopicClassResponse:
        topic_id = await self._products.create_topic_class(
            request.instance_id, translate.topic_class(request.topic_class)
        )
        return pb.CreateTopicClassResponse(topic_id=topic_id)

    async def ListTopicClasses(
        self, request: pb.ListTopicClassesRequest, context: Context
    ) -> pb.ListTopicClassesResponse:
        classes = await self._products.topic_classes(request.instance_id, request.product_key)
        return pb.ListTopicClassesResponse(topic_classes=map(translate.topic_class_message, classes))

    async def GetProductPolicies(
        self, request: pb.GetProductPoliciesRequest, context: Context
    ) -> pb.GetProductPoliciesResponse:
        policies = await self._policies.get(list(request.product_keys))
        return pb.GetProductPoliciesResponse(policies=map(translate.policy_message, policies))
