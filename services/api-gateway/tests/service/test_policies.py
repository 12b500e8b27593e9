"""Remembered policies. The registry here is a handful of lines, because what counts is how often it is asked."""

from collections.abc import Sequence

import pytest

from thinghub.api_gateway.domain.values import Limits, Policy, Product
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.service.policies import FRESH_SECONDS, MAX_REMEMBERED, Policies


class Registry:
    def __init__(self) -> None:
        self.policies: dict[str, Policy] = {}
        self.asked: list[str] = []

    async def policy(self, product_key: str) -> Policy:
        self.asked.append(product_key)
        return self.policies.get(product_key, Policy(False))

    async def create(self, product: Product) -> Product:
        raise AssertionError

    async def get(self, instance_id: str, product_key: str, with_secret: bool) -> Product:
        raise AssertionError

    async def list(
        self, instance_id: str, commodity_code: str, page: int, page_size: int
    ) -> tuple[Sequence[Product], int]:
        raise AssertionError

    async def delete(self, instance_id: str, product_key: str) -> None:
        raise AssertionError

    async def set_limits(self, instance_id: str, product_key: str, limits: Limits) -> int:
        raise AssertionError


def found(policy: Policy) -> None:
    if not policy.found:
        raise Refused("iot.prod.NotExistedProduct", "x")


async def test_a_policy_is_remembered_for_a_moment() -> None:
    registry, now = Registry(), [0.0]
    policies = Policies(registry, lambda: now[0])
    registry.policies["pk"] = Policy(True)
    for _ in range(3):
        await policies.check("pk", found)
    assert registry.asked == ["pk"]
    now[0] = FRESH_SECONDS
    await policies.check("pk", found)
    assert registry.asked == ["pk", "pk"]


async def test_the_registry_is_asked_again_before_a_refusal() -> None:
    registry = Registry()
    policies = Policies(registry, lambda: 0.0)
    with pytest.raises(Refused):
        await policies.check("pk", found)
    registry.policies["pk"] = Policy(True, "a")
    await policies.check("pk", found)

    def only_b(policy: Policy) -> None:
        if policy.instance_id != "b":
            raise Refused("iot.prod.NotExistedProduct", "x")

    registry.policies["pk"] = Policy(True, "b")
    await policies.check("pk", only_b)
    assert registry.asked == ["pk"] * 3


async def test_what_is_remembered_is_bounded() -> None:
    registry = Registry()
    policies = Policies(registry, lambda: 0.0)
    for i in range(MAX_REMEMBERED + 1):
        registry.policies[f"pk{i}"] = Policy(True)
        await policies.check(f"pk{i}", found)
    registry.asked.clear()
    await policies.check("pk0", found)
    await policies.check(f"pk{MAX_REMEMBERED}", found)
    assert registry.asked == ["pk0"]
