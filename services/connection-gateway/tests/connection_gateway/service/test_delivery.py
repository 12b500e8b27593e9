"""Deliver and GetSessions, across gateways."""

from tests.support.gateways import Hub, MuteDevice, RunningGateway, device_id
from tests.support.identity import Identity
from thinghubpb.gateway.v1 import gateway_pb2 as pb


def downlink(identity: Identity, topic: str, qos: int = 1, message_id: int = 1) -> pb.Downlink:
    return pb.Downlink(device=device_id(identity), topic=topic, payload=b"hi", qos=qos, message_id=message_id)


async def deliver(gateway: RunningGateway, *messages: pb.Downlink, wait_ms: int = 2000) -> list[str]:
    answer = await gateway.rpc.Deliver(pb.DeliverRequest(messages=messages, wait_ms=wait_ms))
    assert [one.message_id for one in answer.deliveries] == [one.message_id for one in messages]
    return [pb.Outcome.Name(one.outcome).removeprefix("OUTCOME_") for one in answer.deliveries]


async def test_each_message_of_a_batch_has_its_outcome(platform: Hub) -> None:
    here, there = await platform.gateway(), await platform.gateway()
    product = await platform.product()
    near, far, away = [await platform.device(product) for _ in range(3)]
    near_device, far_device = await here.connect(near), await there.connect(far)
    assert await near_device.subscribe(near.topic("get")) == (1,)
    assert await far_device.subscribe(far.topic("get")) == (1,)
    outcomes = await deliver(
        here,
        downlink(near, near.topic("get"), 1, 1),
        downlink(away, away.topic("get"), 1, 2),
        downlink(far, far.topic("get"), 1, 3),
        downlink(near, near.topic("get"), 0, 4),
        downlink(far, far.topic("other"), 1, 5),
    )
    assert outcomes == ["DELIVERED", "OFFLINE", "DELIVERED", "SENT", "NO_SUBSCRIBER"]
    assert [(await near_device.receive()).qos for _ in range(2)] == [1, 0]
    got = await far_device.receive()
    assert (got.topic, got.payload) == (far.topic("get"), b"hi")


async def test_a_message_that_is_not_waited_for_is_sent(platform: Hub) -> None:
    here, there = await platform.gateway(), await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await MuteDevice.connect(identity, *there.mqtt)
    topic = f"/sys/{identity.product_key}/{identity.device_name}/thing/service/property/set"
    assert await deliver(here, downlink(identity, topic), wait_ms=0) == ["SENT"]
    assert await deliver(here, downlink(identity, topic), wait_ms=300) == ["TIMEOUT"]
    await device.close()


async def test_system_topics_need_no_subscription_and_an_unsubscribe_stops_them(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)
    topic = f"/sys/{identity.product_key}/{identity.device_name}/thing/config/push"
    assert await deliver(gateway, downlink(identity, topic)) == ["DELIVERED"]
    assert (await device.receive()).topic == topic


async def test_a_reply_goes_to_the_connection_it_answers(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity)
    (session,) = (await gateway.rpc.GetSessions(pb.GetSessionsRequest(devices=[device_id(identity)]))).sessions
    reply = downlink(identity, identity.topic("anything"), 0)
    reply.origin, reply.handle = session.gateway, session.handle
    assert await deliver(gateway, reply) == ["SENT"]
    assert (await device.receive()).topic == identity.topic("anything")


async def test_a_session_says_where_it_is_and_an_absent_one_is_offline(platform: Hub) -> None:
    here, there = await platform.gateway(), await platform.gateway()
    product = await platform.product()
    identity, away = await platform.device(product), await platform.device(product)
    await there.connect(identity)
    request = pb.GetSessionsRequest(devices=[device_id(away), device_id(identity)])
    offline, online = (await here.rpc.GetSessions(request)).sessions
    assert not offline.online
    assert online.online
    assert online.gateway_address == there.target.replace("unix://", "unix:")
    assert online.client_address.startswith("127.0.0.1:")
    assert online.epoch > 0
    assert online.connected_ms > 0


async def test_a_kick_reaches_the_other_gateway_and_spares_newer_sessions(platform: Hub) -> None:
    here, there = await platform.gateway(), await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await there.connect(identity)
    (session,) = (await here.rpc.GetSessions(pb.GetSessionsRequest(devices=[device_id(identity)]))).sessions
    older = pb.KickTarget(device=device_id(identity), max_epoch=session.epoch - 1)
    assert not (await here.rpc.Kick(pb.KickRequest(targets=[older]))).results[0].kicked
    target = pb.KickTarget(device=device_id(identity))
    assert (await here.rpc.Kick(pb.KickRequest(targets=[target]))).results[0].kicked
    await device.wait_closed(5)
    assert not (await here.rpc.Kick(pb.KickRequest(targets=[target]))).results[0].kicked


async def test_a_gateway_that_is_gone_makes_its_devices_offline(platform: Hub) -> None:
    here, there = await platform.gateway(), await platform.gateway(lease_seconds=1)
    identity = await platform.device(await platform.product())
    await there.connect(identity)
    await there.stop()
    assert await deliver(here, downlink(identity, identity.topic("get"))) == ["OFFLINE"]


async def test_a_foreign_topic_is_closed_in_both_directions(platform: Hub) -> None:
    gateway = await platform.gateway()
    product = await platform.product()
    mine, other = await platform.device(product), await platform.device(product)
    device, victim = await gateway.connect(mine), await gateway.connect(other)
    await victim.subscribe(other.topic("get"))
    assert await device.subscribe(other.topic("get")) == (128,)
    assert await device.subscribe(f"/{product}/+/user/get") == (128,)
    device.publish(other.topic("update"), b"forged")
    device.publish(other.topic("get"), b"forged")
    assert await deliver(gateway, downlink(mine, other.topic("get"))) == ["NO_SUBSCRIBER"]
    assert victim.inbox.empty()
