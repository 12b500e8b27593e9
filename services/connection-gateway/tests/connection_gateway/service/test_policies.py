"""Product policies: a change reaches live sessions."""

from tests.support.gateways import Hub, Taps, eventually
from thinghubpb.registry.v1 import registry_pb2 as registry


async def test_a_new_topic_class_is_permitted_to_live_sessions(platform: Hub, taps: Taps) -> None:
    gateway = await platform.gateway()
    product = await platform.product()
    identity = await platform.device(product)
    device = await gateway.connect(identity)
    assert await device.subscribe(identity.topic("news/today")) == (128,)
    device.publish(identity.topic("report"), b"refused by policy")
    for name, operation in (("report", registry.OPERATION_PUB), ("news/#", registry.OPERATION_SUB)):
        topic_class = registry.TopicClass(product_key=product, short_name=name, operation=operation)
        await platform.registry.CreateTopicClass(registry.CreateTopicClassRequest(topic_class=topic_class))

    async def granted() -> bool:
        return await device.subscribe(identity.topic("news/today")) == (1,)

    await eventually(granted)
    device.publish(identity.topic("report"), b"permitted")
    assert [one.payload for one in await taps.custom_many(identity, 1)] == [b"permitted"]


async def test_changed_limits_reach_live_sessions(platform: Hub, taps: Taps) -> None:
    gateway = await platform.gateway()
    product = await platform.product()
    identity = await platform.device(product)
    device = await gateway.connect(identity)
    limits = registry.Limits(mode=registry.Limits.MODE_ENFORCE, up_qos1_per_second=100_000, up_qos0_per_second=100_000)
    await platform.registry.SetProductLimits(registry.SetProductLimitsRequest(product_key=product, limits=limits))

    async def raised() -> bool:
        before = len(taps.custom(identity))
        for _ in range(60):
            device.publish(identity.topic("update"), b"x", qos=0)
        try:
            await taps.custom_many_within(identity, before + 60, 0.8)
        except TimeoutError:
            return False
        return True

    await eventually(raised, 15)
