"""Whose products are, from device-registry: a batch is one call."""

from collections.abc import Mapping, Sequence

import grpc.aio

from thinghubpb.registry.v1 import registry_pb2, registry_pb2_grpc

MAX_KEYS = 500
# A sink that asks must still be able to answer its caller in time.
DEADLINE_S = 1.0


class RegistryProducts:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._registry = registry_pb2_grpc.RegistryServiceStub(channel)

    async def instances(self, product_keys: Sequence[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(product_keys), MAX_KEYS):
            request = registry_pb2.GetProductPoliciesRequest(product_keys=product_keys[start : start + MAX_KEYS])
            answer = await self._registry.GetProductPolicies(request, timeout=DEADLINE_S)
            found |= {policy.product_key: policy.instance_id for policy in answer.policies if policy.found}
        return found
