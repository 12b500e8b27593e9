"""Broadcasts across gateways."""

import asyncio

import pytest

from tests.support.gateways import Hub, RunningGateway
from thinghub.common.errors import RemoteFault
from thinghub.common.redis import cmd, open_redis
from thinghubpb.gateway.v1 import gateway_pb2 as pb

OFTEN = {"broadcast_all_seconds": 0, "broadcast_topic_seconds": 0}


async def broadcast(gateway: RunningGateway, product_key: str, topic: str = "", payload: bytes = b"all") -> list[int]:
    request = pb.BroadcastRequest(product_key=product_key, topic=topic, payload=payload, message_id=77)
    answer = await gateway.rpc.Broadcast(request)
    return [answer.sent, answer.no_subscriber, answer.failed, len(answer.unreachable)]


async def reason(call: object) -> str:
    with pytest.raises(RemoteFault) as refused:
        await call  # type: ignore[misc]  # any awaitable
    return refused.value.remote_reason


async def test_every_online_device_of_the_product_gets_it_on_its_own_topic(platform: Hub) -> None:
    gateways = [await platform.gateway(**OFTEN), await platform.gateway(**OFTEN)]
    product, other = await platform.product(), await platform.product()
    identities = [await platform.device(product) for _ in range(4)]
    devices = [await gateways[i % 2].connect(identity) for i, identity in enumerate(identities)]
    stranger = await gateways[0].connect(await platform.device(other))
    await platform.device(product)  # never online: nobody to send to
    for gateway in gateways:
        assert await broadcast(gateway, product) == [4, 0, 0, 0]
        for device in devices:
            got = await device.receive()
            own = f"/sys/{product}/{device.identity.device_name}/broadcast/request/77"
            assert (got.topic, got.payload, got.qos) == (own, b"all", 0)
    await asyncio.sleep(0.2)
    assert stranger.inbox.empty()
    assert all(device.inbox.empty() for device in devices)


async def test_a_topic_reaches_its_subscribers_only(platform: Hub) -> None:
    here, there = await platform.gateway(**OFTEN), await platform.gateway(**OFTEN)
    product = await platform.product()
    first, second, third = [await platform.device(product) for _ in range(3)]
    near, far, silent = await here.connect(first), await there.connect(second), await there.connect(third)
    topic = f"/broadcast/{product}/news"
    assert await near.subscribe(topic) == (1,)
    assert await far.subscribe(f"/broadcast/{product}/#") == (1,)
    assert await broadcast(here, product, topic) == [2, 1, 0, 0]
    for device in (near, far):
        assert (await device.receive()).topic == topic
    await asyncio.sleep(0.2)
    assert silent.inbox.empty()


async def test_more_devices_than_a_portion_are_paced(platform: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinghub.connection_gateway.service.broadcasts.PORTION", 2)
    gateway = await platform.gateway(broadcast_per_second=10, **OFTEN)
    product = await platform.product()
    devices = [await gateway.connect(await platform.device(product)) for _ in range(5)]
    began = asyncio.get_running_loop().time()
    assert await broadcast(gateway, product) == [5, 0, 0, 0]
    assert asyncio.get_running_loop().time() - began >= 0.4  # two pauses of 2 devices / 10 a second
    for device in devices:
        await device.receive()


async def test_a_gateway_with_a_lease_that_does_not_answer_is_named_and_one_without_is_not(
    platform: Hub, redis_url: str
) -> None:
    here = await platform.gateway(**OFTEN)
    product = await platform.product()
    device = await here.connect(await platform.device(product))
    redis = await open_redis(redis_url, platform.prefix)
    for gateway in ("cut-off", "gone"):
        await redis.one(cmd("HSET", "gateways", gateway, "unix:///nowhere"))
    await redis.one(cmd("SET", "gateway:{cut-off}", "unix:///nowhere", "EX", 30))
    await redis.close()
    answer = await here.rpc.Broadcast(pb.BroadcastRequest(product_key=product, payload=b"all", message_id=77))
    assert (answer.sent, list(answer.unreachable)) == (1, ["cut-off"])
    await device.receive()


async def test_one_a_minute_for_all_gateways_together(platform: Hub) -> None:
    here, there = await platform.gateway(), await platform.gateway()
    product, other = await platform.product(), await platform.product()
    assert await broadcast(here, product) == [0, 0, 0, 0]
    assert await reason(broadcast(there, product)) == "broadcast_too_often"
    assert await broadcast(there, other) == [0, 0, 0, 0]
    topic = f"/broadcast/{product}/news"
    assert await broadcast(here, product, topic) == [0, 0, 0, 0]
    assert await reason(broadcast(there, product, topic)) == "broadcast_too_often"
    await asyncio.sleep(1.1)
    assert await broadcast(there, product, topic) == [0, 0, 0, 0]


async def test_what_is_no_broadcast_of_the_product_is_refused(platform: Hub) -> None:
    gateway = await platform.gateway(**OFTEN)
    product = await platform.product()
    wrong = (f"/broadcast/{product}/", "/broadcast/other/news", f"/broadcast/{product}/+", f"/{product}/dev/user/get")
    for topic in wrong:
        assert await reason(broadcast(gateway, product, topic)) == "broadcast_invalid"
    assert await reason(broadcast(gateway, product, payload=b"x" * 65537)) == "broadcast_invalid"
    assert await broadcast(gateway, product, payload=b"x" * 65536) == [0, 0, 0, 0]
