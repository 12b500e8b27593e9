"""device-registry, asked what a product's devices may do and which sub-devices a gateway holds."""

from collections.abc import Sequence

import grpc

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.ports import Limits, ProductPolicy, TopicClass
from thinghubpb.device.v1 import device_pb2
from thinghubpb.registry.v1 import registry_pb2, registry_pb2_grpc, topology_pb2, topology_pb2_grpc

# With the other stages of a CONNECT this stays below 5 s.
DEADLINE = 1.0

_PUBLISH = frozenset({registry_pb2.OPERATION_PUB, registry_pb2.OPERATION_ALL})
_SUBSCRIBE = frozenset({registry_pb2.OPERATION_SUB, registry_pb2.OPERATION_ALL})


class GrpcPolicySource:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = registry_pb2_grpc.RegistryServiceStub(channel)

    async def policies(self, product_keys: Sequence[str]) -> list[ProductPolicy | None]:
        request = registry_pb2.GetProductPoliciesRequest(product_keys=product_keys)
        answer = await self._stub.GetProductPolicies(request, timeout=DEADLINE)
        return [_policy(policy) if policy.found else None for policy in answer.policies]

    async def ping(self) -> None:
        """Raises Unavailable when the registry does not answer."""
        await self._stub.GetProductPolicies(registry_pb2.GetProductPoliciesRequest(), timeout=DEADLINE)


class GrpcTopology:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = topology_pb2_grpc.TopologyServiceStub(channel)

    async def held(self, gateway: Device, devices: Sequence[Device]) -> list[bool]:
        request = topology_pb2.CheckSubDevicesRequest(
            gateway=_device(gateway), devices=[_device(device) for device in devices]
        )
        answer = await self._stub.CheckSubDevices(request, timeout=DEADLINE)
        return list(answer.held)


def _device(device: Device) -> device_pb2.DeviceId:
    return device_pb2.DeviceId(product_key=device.product_key, device_name=device.device_name)


def _policy(policy: registry_pb2.ProductPolicy) -> ProductPolicy:
    limits = policy.limits
    return ProductPolicy(
        policy.product_key,
        policy.version,
        Limits(
            limits.mode != registry_pb2.Limits.MODE_OBSERVE,
            limits.up_qos0_per_second,
            limits.up_qos1_per_second,
            limits.down_per_second,
            limits.bytes_per_second,
            limits.subscriptions,
            limits.drop_qos1,
        ),
        tuple(
            TopicClass(one.short_name, one.operation in _PUBLISH, one.operation in _SUBSCRIBE)
            for one in policy.topic_classes
        ),
    )
