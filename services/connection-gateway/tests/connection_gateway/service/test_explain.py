"""Why a device is away, asked of whole gateways: each cause is told in words."""

import asyncio
import dataclasses
import time

import pytest

from tests.support.gateway_core import connect_packet
from tests.support.gateway_device import GatewayDevice
from tests.support.gateways import Hub, RunningGateway, Taps, device_id, eventually, hub, refusal
from tests.support.identity import Identity, Login
from tests.support.servers import RedisServer
from thinghub.common.errors import RemoteFault
from thinghub.common.redis import open_redis
from thinghub.connection_gateway.adapters.redis_claims import RedisClaims
from thinghub.connection_gateway.domain.claims import Wanted
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.service.explain import MAX_DEVICES
from thinghubpb.device.v1.device_pb2 import DeviceId
from thinghubpb.gateway.v1 import gateway_pb2 as pb

ACCEPTED, REFUSED, CLOSED = pb.Attempt.KIND_ACCEPTED, pb.Attempt.KIND_REFUSED, pb.Attempt.KIND_CLOSED
Said = list[tuple[pb.Attempt.Kind.ValueType, str]]


async def explain(gateway: RunningGateway, identity: Identity) -> pb.Explanation:
    (explained,) = (await gateway.rpc.Explain(pb.ExplainRequest(devices=[device_id(identity)]))).explanations
    return explained


async def until_said(gateway: RunningGateway, identity: Identity, expected: Said) -> pb.Explanation:
    """The explanation once its attempts are these, newest first: they are written a moment later."""
    async with asyncio.timeout(10):
        while True:
            explained = await explain(gateway, identity)
            if [(one.kind, one.reason) for one in explained.attempts] == expected:
                return explained
            await asyncio.sleep(0.05)


async def test_a_wrong_secret_is_told_with_its_address_and_what_to_do(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    before = time.time_ns() // 1_000_000
    wrong = dataclasses.replace(identity, device_secret="not-the-secret").login()
    for _ in range(3):
        assert await refusal(wrong, *gateway.mqtt) == 4
    explained = await until_said(gateway, identity, [(REFUSED, "bad_signature")] * 3)
    assert not explained.session.online
    (last, *_) = explained.attempts
    assert last.meaning == "wrong signature"
    assert "DeviceSecret" in last.advice
    assert last.client_address.startswith("127.0.0.1:")
    assert last.gateway_address.endswith("gateway-0")
    assert before <= last.time_ms <= time.time_ns() // 1_000_000
    assert "not-the-secret" not in str(explained)


async def test_names_that_nobody_registered_are_told_too_when_their_product_exists(platform: Hub) -> None:
    gateway = await platform.gateway()
    product = await platform.product()
    nobody, nowhere = Identity(product, "nobody", "s"), Identity("a1nowhere", "nobody", "s")
    assert await refusal(nowhere.login(), *gateway.mqtt) == 4
    assert await refusal(nobody.login(), *gateway.mqtt) == 4
    explained = await until_said(gateway, nobody, [(REFUSED, "unknown_device")])
    assert explained.attempts[0].meaning == "the device was not registered"
    assert (await explain(gateway, nowhere)).attempts == []


async def test_a_malformed_client_id_is_told_of_whom_the_user_name_names(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    login = identity.login()
    assert await refusal(Login("no bars", login.username, login.password), *gateway.mqtt) == 2
    explained = await until_said(gateway, identity, [(REFUSED, "malformed_client_id")])
    assert "securemode" in explained.attempts[0].advice


async def test_too_many_connects_are_told_beside_those_that_were_accepted(platform: Hub) -> None:
    gateway = await platform.gateway(connects_per_minute=1)
    identity = await platform.device(await platform.product())
    assert [await refusal(identity.login(), *gateway.mqtt) for _ in range(2)] == [0, 3]
    explained = await until_said(gateway, identity, [(REFUSED, "connect_rate"), (CLOSED, "eof"), (ACCEPTED, "")])
    assert explained.attempts[0].meaning == "the device connects too often"


async def test_a_takeover_is_told_with_both_addresses(platform: Hub) -> None:
    here, there = await platform.gateway(), await platform.gateway()
    identity = await platform.device(await platform.product())
    first = await here.connect(identity)
    await until_said(here, identity, [(ACCEPTED, "")])
    second = await there.connect(identity)
    await first.wait_closed(5)
    async with asyncio.timeout(10):
        while len((explained := await explain(there, identity)).attempts) < 3:
            await asyncio.sleep(0.05)
    assert sorted((one.kind, one.reason) for one in explained.attempts) == [
        (ACCEPTED, ""), (ACCEPTED, ""), (CLOSED, "taken_over"),
    ]  # fmt: skip
    assert {one.gateway_address[-9:] for one in explained.attempts} == {"gateway-0", "gateway-1"}
    assert explained.session.online
    assert explained.gateway_alive
    assert explained.session.gateway_address.endswith("gateway-1")
    await second.disconnect()


async def test_a_device_that_fell_silent_is_told_so(platform: Hub) -> None:
    gateway = await platform.gateway(keep_alive_min_s=1)
    identity = await platform.device(await platform.product())
    login = identity.login()
    reader, writer = await asyncio.open_connection(*gateway.mqtt)
    writer.write(connect_packet(login.client_id, login.username, login.password, keep_alive=1))
    assert await asyncio.wait_for(reader.readexactly(4), 5) == b"\x20\x02\x00\x00"
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    explained = await until_said(gateway, identity, [(CLOSED, "keep_alive"), (ACCEPTED, "")])
    assert "keep-alive" in explained.attempts[0].meaning


async def test_a_disabled_device_is_told_with_the_bar_that_holds(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)
    await platform.enable(identity, False)
    await device.wait_closed(5)
    assert await refusal(identity.login(), *gateway.mqtt) == 5
    explained = await until_said(gateway, identity, [(REFUSED, "disabled"), (CLOSED, "disabled"), (ACCEPTED, "")])
    assert 0 < explained.barred_ms <= 60_000


async def test_a_session_of_a_gateway_that_died_is_told_apart(platform: Hub, redis_url: str, prefix: str) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    redis = await open_redis(redis_url, prefix)
    claims = RedisClaims(redis, "dead-incarnation", "gone:9103")
    device = Device(identity.product_key, identity.device_name)
    await claims.claim([Wanted(device, 1, True, 0, 1234, "10.0.0.7:4711")])
    await redis.close()
    explained = await explain(gateway, identity)
    assert (explained.session.online, explained.session.client_address) == (True, "10.0.0.7:4711")
    assert not explained.gateway_alive


async def test_sampled_messages_are_told_with_their_trace_and_without_payload(platform: Hub, taps: Taps) -> None:
    gateway = await platform.gateway(trace_ratio=1.0)
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)
    for number in range(12):
        device.publish(identity.topic("update"), f"payload-{number}".encode())
    sent = await taps.custom_many(identity, 12)
    async with asyncio.timeout(10):
        while len((explained := await explain(gateway, identity)).messages) < 10:
            await asyncio.sleep(0.05)
    assert [one.message_id for one in explained.messages] == [one.id for one in reversed(sent)][:10]
    newest = explained.messages[0]
    assert (newest.topic, newest.size, newest.qos) == (identity.topic("update"), len("payload-11"), 1)
    assert newest.traceparent == sent[-1].traceparent
    assert b"payload-" not in explained.SerializeToString()
    answer = await gateway.rpc.Explain(pb.ExplainRequest(devices=[device_id(identity)]))
    assert answer.sampled_every == 1
    await device.disconnect()


async def test_without_sampling_the_answer_says_that_there_are_none(platform: Hub) -> None:
    gateway = await platform.gateway()
    answer = await gateway.rpc.Explain(pb.ExplainRequest(devices=[DeviceId(product_key="pk", device_name="dn")]))
    assert answer.sampled_every == 0
    assert answer.explanations == [pb.Explanation(session=pb.Session())]


async def test_a_batch_has_a_bound(platform: Hub) -> None:
    gateway = await platform.gateway()
    devices = [DeviceId(product_key="pk", device_name=f"d{number}") for number in range(MAX_DEVICES + 1)]
    assert len((await gateway.rpc.Explain(pb.ExplainRequest(devices=devices[1:]))).explanations) == MAX_DEVICES
    with pytest.raises(RemoteFault) as refused:
        await gateway.rpc.Explain(pb.ExplainRequest(devices=devices))
    assert refused.value.remote_reason == "too_many_devices"


async def test_figures_of_a_session_come_from_the_gateway_that_holds_it(platform: Hub, taps: Taps) -> None:
    here, there = await platform.gateway(), await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await there.connect(identity)
    await device.subscribe(identity.topic("get"))
    for _ in range(3):
        device.publish(identity.topic("update"), b"x")
    device.publish("/sys/somebody/else/thing/event/property/post", b"x")
    await taps.custom_many(identity, 3)
    for gateway in (here, there):
        async with asyncio.timeout(10):
            while (live := (await explain(gateway, identity)).live).refused_permission < 1:
                await asyncio.sleep(0.05)
        assert (live.messages_up, live.refused_permission, live.refused_quota, live.in_flight) == (3, 1, 0, 0)
        assert list(live.subscriptions) == [identity.topic("get")]
        assert live.keep_alive_s == 60
        assert 0 <= live.last_packet_ms_ago < 60_000
        assert not live.HasField("behind")
    await device.disconnect()
    explained = await until_said(here, identity, [(CLOSED, "client"), (ACCEPTED, "")])
    assert not explained.HasField("live")


async def test_a_sub_device_is_told_with_the_gateway_device_that_carries_it(platform: Hub) -> None:
    gateway = await platform.gateway()
    sensors = await platform.product()
    sub, stray = await platform.device(sensors), await platform.device(sensors)
    owner = await platform.device(await platform.product(node_type=1))
    device = GatewayDevice(await gateway.connect(owner))
    assert (await device.add(sub))["code"] == 200
    assert (await device.login(sub))["code"] == 200
    assert (await device.login(stray))["code"] == 6401
    explained = await until_said(gateway, sub, [(ACCEPTED, "")])
    assert explained.live.behind == device_id(owner)
    assert (await explain(gateway, owner)).live.sub_devices == 1
    refused = await until_said(gateway, stray, [(REFUSED, "no_topology")])
    assert "topology" in refused.attempts[0].advice
    await device.device.disconnect()
    await until_said(gateway, sub, [(CLOSED, "client"), (ACCEPTED, "")])


async def test_without_redis_the_question_is_unavailable_and_what_happened_meanwhile_is_counted(
    private_redis: RedisServer, redis_url: str, postgres_dsn: str, prefix: str
) -> None:
    async with hub(private_redis.url, postgres_dsn, prefix, bus_url=f"streams+{redis_url}") as platform:
        gateway = await platform.gateway()
        identity = await platform.device(await platform.product())
        device = await gateway.connect(identity)
        await until_said(gateway, identity, [(ACCEPTED, "")])
        private_redis.pause()
        try:
            await device.disconnect()
            with pytest.raises(RemoteFault) as refused:
                await gateway.rpc.Explain(pb.ExplainRequest(devices=[device_id(identity)]))
            assert (refused.value.kind, refused.value.remote_reason) == ("Unavailable", "claims_unavailable")
            await eventually(lambda: forgotten(gateway), 10)
        finally:
            private_redis.resume()
        await asyncio.wait_for(gateway.runtime.health.wait_ready(), 15)
        await refusal(dataclasses.replace(identity, device_secret="wrong").login(), *gateway.mqtt)
        async with asyncio.timeout(10):
            while (await explain(gateway, identity)).attempts[0].reason != "bad_signature":
                await asyncio.sleep(0.05)


async def forgotten(gateway: RunningGateway) -> bool:
    events = "thinghub_connection_gateway_events_total"
    value = gateway.runtime.metrics.registry.get_sample_value
    return (value(events, {"event": "attempts_forgotten"}) or 0) >= 1
