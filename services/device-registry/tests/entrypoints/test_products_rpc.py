"""Instances, products, topic classes and policies through the running service."""

import asyncio

import pytest

from tests.support.registry_service import Registry, StartRegistry
from thinghub.common.errors import RemoteFault
from thinghubpb.registry.v1 import registry_pb2 as pb


async def reason(call: object) -> str:
    with pytest.raises(RemoteFault) as refused:
        await call  # type: ignore[misc]  # grpc's calls are awaitable
    return refused.value.remote_reason


async def test_a_product_is_made_with_the_contracts_defaults(registry: Registry) -> None:
    made = await registry.product("thermometer", description="in every room")
    assert made.product_key.startswith("a1")
    assert len(made.product_key) == 11
    assert len(made.product_secret) == 32
    assert (made.node_type, made.data_format, made.auth_type) == (0, 1, "secret")
    got = (await registry.stub.GetProduct(pb.GetProductRequest(product_key=made.product_key, with_secret=True))).product
    assert got == made
    plain = (await registry.stub.GetProduct(pb.GetProductRequest(product_key=made.product_key))).product
    assert plain.product_secret == ""


async def test_given_identifiers_are_kept(registry: Registry) -> None:
    made = await registry.product(product_key="a1OldCloud0", product_secret="secret-of-the-old-cloud")
    assert (made.product_key, made.product_secret) == ("a1OldCloud0", "secret-of-the-old-cloud")
    assert await reason(registry.product(product_key="a1OldCloud0")) == "product_exists"


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"name": "abc"}, "product_name_invalid"),
        ({"node_type": 2}, "product_invalid"),
        ({"lane": -1}, "product_invalid"),
        ({"auth_type": "none"}, "product_invalid"),
        ({"product_key": "a/b"}, "product_key_invalid"),
        ({"instance_id": "iot-none"}, "instance_not_found"),
        ({"limits": pb.Limits(subscriptions=-1)}, "product_invalid"),
    ],
)
async def test_a_wrong_product_is_refused_with_its_reason(
    registry: Registry, members: dict[str, object], why: str
) -> None:
    assert await reason(registry.product(**members)) == why  # type: ignore[arg-type]


async def test_names_are_unique_in_an_instance_and_instances_do_not_see_each_other(registry: Registry) -> None:
    instance = (await registry.stub.CreateInstance(pb.CreateInstanceRequest(name="second"))).instance
    assert instance.instance_id.startswith("iot-")
    listed = (await registry.stub.ListInstances(pb.ListInstancesRequest())).instances
    assert [one.instance_id for one in listed] == ["", instance.instance_id]
    assert (
        await reason(registry.stub.CreateInstance(pb.CreateInstanceRequest(instance_id=instance.instance_id)))
        == "instance_exists"
    )
    made = await registry.product("thermometer")
    assert await reason(registry.product("thermometer")) == "product_name_exists"
    other = await registry.product("thermometer", instance_id=instance.instance_id)
    for product_key, stranger in ((made.product_key, instance.instance_id), (other.product_key, "")):
        request = pb.GetProductRequest(product_key=product_key, instance_id=stranger)
        assert await reason(registry.stub.GetProduct(request)) == "product_not_found"
    page = await registry.stub.ListProducts(pb.ListProductsRequest(page=1, page_size=10))
    assert [one.product_key for one in page.products] == [made.product_key]


async def test_products_are_paged_newest_first_and_filtered(registry: Registry) -> None:
    names = [f"prod{number}" for number in range(5)]
    for name in names:
        await registry.product(name, commodity_code="iothub_senior" if name == "prod2" else "")
        await asyncio.sleep(0.002)
    page = await registry.stub.ListProducts(pb.ListProductsRequest(page=2, page_size=2))
    assert ([one.name for one in page.products], page.total) == (["prod2", "prod1"], 5)
    senior = await registry.stub.ListProducts(pb.ListProductsRequest(commodity_code="iothub_senior"))
    assert ([one.name for one in senior.products], senior.total) == (["prod2"], 1)
    assert await reason(registry.stub.ListProducts(pb.ListProductsRequest(page=1, page_size=201))) == "page_invalid"


async def test_a_product_with_devices_is_not_deleted(registry: Registry) -> None:
    product = await registry.product()
    identity = await registry.register(product.product_key, "dev1")
    request = pb.DeleteProductRequest(product_key=product.product_key)
    assert await reason(registry.stub.DeleteProduct(request)) == "product_has_devices"
    counted = (await registry.stub.GetProduct(pb.GetProductRequest(product_key=product.product_key))).product
    assert counted.device_count == 1
    await registry.delete(identity)
    await registry.stub.DeleteProduct(request)
    assert await reason(registry.stub.DeleteProduct(request)) == "product_not_found"
    assert not (await registry.policy(product.product_key)).found


async def test_an_instance_may_have_a_limit_of_products(start_registry: StartRegistry, bus: object) -> None:
    registry = await start_registry(products_per_instance=1)
    await registry.product()
    assert await reason(registry.product()) == "product_limit"


async def test_a_given_topic_id_is_kept_and_generated_ones_go_round_it(registry: Registry) -> None:
    product_key, other = (await registry.product()).product_key, (await registry.product()).product_key

    async def create(name: str, topic_id: int = 0, product: str = product_key) -> int:
        topic_class = pb.TopicClass(product_key=product, short_name=name, operation=pb.OPERATION_PUB, topic_id=topic_id)
        return (await registry.stub.CreateTopicClass(pb.CreateTopicClassRequest(topic_class=topic_class))).topic_id

    generated = await create("a")
    assert await create("b", generated + 1) == generated + 1
    assert await create("c") == generated + 2
    assert await create("big", 2**63 - 1) == 2**63 - 1
    assert await reason(create("d", generated + 1)) == "topic_class_exists"
    assert await reason(create("d", generated + 1, other)) == "topic_class_exists"
    assert await reason(create("c", 10**12)) == "topic_class_exists"
    assert await reason(create("d", -1)) == "topic_class_invalid"
    assert await create("update", 10**12) == 10**12
    listed = await registry.stub.ListTopicClasses(pb.ListTopicClassesRequest(product_key=product_key))
    assert {one.short_name: one.topic_id for one in listed.topic_classes}["update"] == 10**12
    assert len(listed.topic_classes) == 7
    assert {one.short_name for one in (await registry.policy(product_key)).topic_classes} >= {"update", "big", "c"}


async def test_topic_classes_begin_with_the_defaults_and_are_bounded(registry: Registry) -> None:
    product_key = (await registry.product()).product_key

    async def create(name: str, operation: "pb.Operation.ValueType" = pb.OPERATION_SUB) -> int:
        topic_class = pb.TopicClass(product_key=product_key, short_name=name, operation=operation, description="d")
        request = pb.CreateTopicClassRequest(topic_class=topic_class)
        return (await registry.stub.CreateTopicClass(request)).topic_id

    assert await create("a/#") > 0
    listed = await registry.stub.ListTopicClasses(pb.ListTopicClassesRequest(product_key=product_key))
    assert [(one.short_name, one.operation) for one in listed.topic_classes] == [
        ("update", pb.OPERATION_PUB),
        ("update/error", pb.OPERATION_PUB),
        ("get", pb.OPERATION_SUB),
        ("a/#", pb.OPERATION_SUB),
    ]
    assert await reason(create("a/#")) == "topic_class_exists"
    assert await reason(create("b/#", pb.OPERATION_ALL)) == "topic_operation_invalid"
    assert await reason(create("b", pb.OPERATION_UNSPECIFIED)) == "topic_operation_invalid"
    assert await reason(create("b c")) == "topic_class_invalid"
    outcomes = await asyncio.gather(*(create(f"t{number}") for number in range(50)), return_exceptions=True)
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 46
    assert {one.remote_reason for one in outcomes if isinstance(one, RemoteFault)} == {"topic_class_limit"}


async def test_a_policy_resolves_limits_and_its_version_rises_with_every_change(registry: Registry) -> None:
    product_key = (await registry.product(not_stored=True, lane=3, node_type=1)).product_key
    first = await registry.policy(product_key)
    assert (first.found, first.not_stored, first.lane, first.node_type) == (True, True, 3, 1)
    assert [one.short_name for one in first.topic_classes] == ["update", "update/error", "get"]
    assert first.limits == pb.Limits(
        mode=pb.Limits.MODE_ENFORCE,
        up_qos0_per_second=30,
        up_qos1_per_second=10,
        down_per_second=50,
        bytes_per_second=1024 * 1024,
        subscriptions=100,
    )
    raised = pb.Limits(mode=pb.Limits.MODE_OBSERVE, up_qos1_per_second=5000, drop_qos1=True)
    request = pb.SetProductLimitsRequest(product_key=product_key, limits=raised)
    version = (await registry.stub.SetProductLimits(request)).version
    second = await registry.policy(product_key)
    assert first.version < version == second.version
    assert (second.limits.up_qos1_per_second, second.limits.up_qos0_per_second) == (5000, 30)
    assert (second.limits.mode, second.limits.drop_qos1) == (pb.Limits.MODE_OBSERVE, True)
    topic_class = pb.TopicClass(product_key=product_key, short_name="x", operation=pb.OPERATION_ALL)
    await registry.stub.CreateTopicClass(pb.CreateTopicClassRequest(topic_class=topic_class))
    third = await registry.policy(product_key)
    assert third.version > second.version
    assert third.topic_classes[-1].short_name == "x"


async def test_policies_are_answered_in_order_and_unknown_products_are_not_found(registry: Registry) -> None:
    product_key = (await registry.product()).product_key
    request = pb.GetProductPoliciesRequest(product_keys=["a1nothing", product_key, "a1nothing"])
    policies = (await registry.stub.GetProductPolicies(request)).policies
    assert [(one.product_key, one.found) for one in policies] == [
        ("a1nothing", False),
        (product_key, True),
        ("a1nothing", False),
    ]
