"""RRPC: the four ways it ends, on one gateway and through another."""

import asyncio
import time

import pytest

from tests.support.device import Device
from tests.support.gateways import Hub, MuteDevice, RunningGateway, device_id
from tests.support.identity import Identity
from thinghub.common.redis import cmd, open_redis
from thinghubpb.gateway.v1 import gateway_pb2 as pb

Codes = pb.RequestResponse


async def ask(gateway: RunningGateway, identity: Identity, timeout_ms: int = 3000, topic: str = "") -> Codes:
    request = pb.RequestRequest(device=device_id(identity), payload=b"ping", timeout_ms=timeout_ms, topic=topic)
    return await gateway.rpc.Request(request, timeout=10)


async def answer(device: Device, identity: Identity, payload: bytes = b"pong") -> str:
    request = await device.receive()
    assert request.payload == b"ping"
    device.publish(request.topic.replace("/rrpc/request/", "/rrpc/response/"), payload)
    return request.topic


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_request_is_answered(platform: Hub, elsewhere: bool) -> None:
    here, there = await platform.gateway(), await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await (there if elsewhere else here).connect(identity)
    got, topic = await asyncio.gather(ask(here, identity), answer(device, identity))
    assert (got.code, got.payload) == (Codes.CODE_SUCCESS, b"pong")
    assert topic.endswith(f"/rrpc/request/{got.message_id}")


async def test_a_custom_request_uses_its_own_topic_when_the_device_can(platform: Hub) -> None:
    gateway = await platform.gateway()
    product = await platform.product()
    able, unable = await platform.device(product), await platform.device(product)
    able_device, unable_device = await gateway.connect(able, ext=1), await gateway.connect(unable)
    got, topic = await asyncio.gather(ask(gateway, able, topic=able.topic("get")), answer(able_device, able))
    assert (got.code, topic) == (Codes.CODE_SUCCESS, f"/ext/rrpc/{got.message_id}{able.topic('get')}")
    got, topic = await asyncio.gather(ask(gateway, unable, topic=unable.topic("get")), answer(unable_device, unable))
    assert got.code == Codes.CODE_SUCCESS
    assert "/rrpc/request/" in topic


async def test_a_silent_device_is_a_timeout_and_its_late_response_goes_nowhere(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)
    got = await ask(gateway, identity, 400)
    assert got.code == Codes.CODE_TIMEOUT
    await answer(device, identity, b"late")
    second, _ = await asyncio.gather(ask(gateway, identity), answer(device, identity, b"in time"))
    assert second.payload == b"in time"


async def test_a_device_that_does_not_acknowledge_is_half_connected(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await MuteDevice.connect(identity, *gateway.mqtt)
    assert (await ask(gateway, identity, 400)).code == Codes.CODE_HALFCONN
    await device.close()


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_closed_connection_is_offline_at_once(platform: Hub, elsewhere: bool) -> None:
    here, there = await platform.gateway(), await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await (there if elsewhere else here).connect(identity)
    asked = asyncio.create_task(ask(here, identity, 8000))
    await device.receive()
    began = time.monotonic()
    await device.disconnect()
    assert (await asked).code == Codes.CODE_OFFLINE
    assert time.monotonic() - began < 2


async def test_an_absent_device_is_offline(platform: Hub) -> None:
    gateway = await platform.gateway()
    assert (await ask(gateway, await platform.device(await platform.product()))).code == Codes.CODE_OFFLINE


async def test_another_device_cannot_answer(platform: Hub) -> None:
    gateway = await platform.gateway()
    product = await platform.product()
    identity, other = await platform.device(product), await platform.device(product)
    device, forger = await gateway.connect(identity), await gateway.connect(other)
    asked = asyncio.create_task(ask(gateway, identity, 1500))
    topic = (await device.receive()).topic.replace("/rrpc/request/", "/rrpc/response/")
    forger.publish(topic, b"forged")
    forger.publish(topic.replace(identity.device_name, other.device_name), b"forged")
    await asyncio.sleep(0.3)
    device.publish(topic, b"true")
    assert (await asked).payload == b"true"


async def test_a_response_that_arrives_elsewhere_is_passed_to_the_gateway_that_waits(
    platform: Hub, redis_url: str, prefix: str
) -> None:
    here, there = await platform.gateway(), await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await here.connect(identity)
    (session,) = (await here.rpc.GetSessions(pb.GetSessionsRequest(devices=[device_id(identity)]))).sessions
    asked = asyncio.create_task(ask(here, identity, 8000))
    topic = (await device.receive()).topic.replace("/rrpc/request/", "/rrpc/response/")
    # Without its lease the former gateway is not told of the takeover, as when the word is lost: it still waits.
    redis = await open_redis(redis_url, prefix)
    lease = f"gateway:{{{session.gateway}}}"
    await redis.one(cmd("DEL", lease))
    moved = await there.connect(identity)
    await redis.one(cmd("SET", lease, session.gateway_address, "EX", 30))
    await redis.close()
    moved.publish(topic, b"from there")
    assert (await asked).payload == b"from there"
