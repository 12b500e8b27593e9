"""Sub-devices through whole gateways: the real core, Redis, auth and registry; gmqtt is the gateway device."""

import asyncio
import dataclasses
import json
import time

import pytest

from tests.support.device import Device
from tests.support.gateway_device import GatewayDevice, name, proof, sys
from tests.support.gateways import Hub, RunningGateway, Taps, device_id, eventually, hub, tapped
from tests.support.identity import Identity
from tests.support.servers import RedisServer
from thinghub.common.redis import cmd, open_redis
from thinghubpb.gateway.v1 import gateway_pb2 as pb
from thinghubpb.registry.v1 import registry_pb2


class Site:
    """A gateway device with three sensors in its topology, connected."""

    def __init__(self, platform: Hub, gateway: RunningGateway) -> None:
        self.platform, self.gateway = platform, gateway

    async def prepare(self, ext: int = 0) -> "Site":
        self.gateways, self.sensors = await self.platform.product(node_type=1), await self.platform.product()
        self.subs = [await self.platform.device(self.sensors) for _ in range(3)]
        self.device = await self.connect(self.gateway, await self.platform.device(self.gateways), ext)
        assert (await self.device.add(*self.subs))["code"] == 200
        return self

    async def connect(self, gateway: RunningGateway, identity: Identity, ext: int = 0) -> GatewayDevice:
        return GatewayDevice(await gateway.connect(identity, ext=ext))

    async def session(self, identity: Identity) -> pb.Session:
        request = pb.GetSessionsRequest(devices=[device_id(identity)])
        return (await self.gateway.rpc.GetSessions(request)).sessions[0]

    async def offline(self, *identities: Identity) -> None:
        """Waits until none of these has a claim."""

        async def gone() -> bool:
            return not any([(await self.session(one)).online for one in identities])

        await eventually(gone, 10)


@pytest.fixture
async def site(platform: Hub, taps: Taps) -> Site:
    """Made when the bus is tapped already: every status is seen."""
    return await Site(platform, await platform.gateway()).prepare()


async def test_a_sub_device_logs_in_publishes_over_the_connection_and_logs_out(site: Site, taps: Taps) -> None:
    sub = site.subs[0]
    reply = await site.device.login(sub)
    assert (reply["code"], reply["message"], reply["data"]) == (200, "success", {})
    site.device.device.publish(sub.topic("update"), b"from behind")
    (message,) = await taps.custom_many(sub, 1)
    assert (message.payload, message.sequence) == (b"from behind", 1)
    claimed = await site.session(sub)
    assert (claimed.epoch, claimed.clean) == (message.epoch, True)
    assert claimed.client_address == (await site.session(site.device.identity)).client_address
    assert (await site.device.logout(sub))["code"] == 200
    online, offline = await taps.status(sub, "online", "offline")
    assert online.epoch == offline.epoch == message.epoch
    assert json.loads(online.payload)["clientIp"] == "127.0.0.1"
    assert not (await site.session(sub)).online
    assert site.device.quiet()


@pytest.mark.parametrize("method", ["hmacSha256", "hmacsha1", "hmacMd5"])
async def test_every_sign_method_and_a_number_as_timestamp_log_in(site: Site, method: str) -> None:
    sub = site.subs[0]
    asked = {**proof(sub, method), "timestamp": 1524448722000}
    asked["signmethod"] = asked.pop("signMethod")
    assert (await site.device.ask(site.device.session("login"), asked))["code"] == 200


async def test_a_batch_logs_in_and_out(site: Site, taps: Taps) -> None:
    reply = await site.device.batch_login(*site.subs)
    assert (reply["code"], reply["data"]) == (200, [name(sub) for sub in site.subs])
    for sub in site.subs:
        await taps.status(sub, "online")
    reply = await site.device.batch_logout(*site.subs)
    assert (reply["code"], reply["data"]) == (200, [name(sub) for sub in site.subs])
    for sub in site.subs:
        await taps.status(sub, "online", "offline")


async def test_of_a_batch_those_that_may_are_online_and_the_others_are_named(site: Site) -> None:
    forged = dataclasses.replace(site.subs[1], device_secret="wrong")
    stranger = await site.platform.device(site.sensors)
    reply = await site.device.batch_login(site.subs[0], forged, stranger)
    assert reply["code"] == 6287
    assert [(one["deviceName"], one["code"]) for one in reply["data"]] == [
        (forged.device_name, 6287),
        (stranger.device_name, 6401),
    ]
    assert (await site.session(site.subs[0])).online
    assert not (await site.session(forged)).online


async def test_each_refusal_has_its_code(site: Site) -> None:
    device, sub = site.device, site.subs[0]
    login = device.session("login")
    assert (await device.login(dataclasses.replace(sub, device_secret="wrong")))["code"] == 6287
    assert (await device.login(dataclasses.replace(sub, device_name="nobody")))["code"] == 6100
    assert (await device.login(await site.platform.device(site.sensors)))["code"] == 6401
    await site.platform.enable(sub, False)
    assert (await device.login(sub))["code"] == 522
    await site.platform.enable(sub, True)
    for params in (None, [], {}, "x", {"productKey": 5}, [proof(sub)] * 2):
        assert (await device.ask(login, params))["code"] == 460
    twice = {"deviceList": [proof(sub), proof(sub)]}
    assert (await device.ask(device.session("batch_login"), twice))["code"] == 527
    many = {"deviceList": [proof(sub)] * 51}
    assert (await device.ask(device.session("batch_login"), many))["code"] == 460
    assert (await device.logout(sub))["code"] == 520
    assert (await device.login(sub))["code"] == 200


async def test_what_is_no_json_is_answered_and_the_next_one_is_understood(site: Site) -> None:
    topic = site.device.session("login")
    for payload in (b"", b"\xff", b"[]", b"[" * 5000, b"{" + b" " * 100_000):
        site.device.device.publish(topic, payload)
        answer = json.loads((await site.device.receive(topic + "_reply")).payload)
        assert (answer["id"], answer["code"], answer["data"]) == ("", 460, {})
    assert (await site.device.login(site.subs[0]))["code"] == 200


async def test_an_id_is_echoed_and_who_wants_no_reply_gets_none(site: Site) -> None:
    topic = site.device.session("login")
    asked = {"id": "a|b/c", "sys": {"ack": 0}, "params": proof(site.subs[0])}
    site.device.device.publish(topic, json.dumps(asked).encode())
    del asked["sys"]
    site.device.device.publish(topic, json.dumps(asked).encode())
    answer = json.loads((await site.device.receive(topic + "_reply")).payload)
    assert (answer["id"], answer["code"]) == ("a|b/c", 200)
    await asyncio.sleep(0.2)
    assert site.device.quiet([topic + "_reply"])


async def test_a_second_log_in_is_said_yes_to_and_makes_no_noise(site: Site, taps: Taps) -> None:
    sub = site.subs[0]
    await site.device.login(sub)
    epoch = (await site.session(sub)).epoch
    assert (await site.device.login(sub))["code"] == 200
    assert (await site.session(sub)).epoch == epoch
    await taps.status(sub, "online")
    assert site.device.quiet()


async def test_out_and_in_again_at_once_ends_online(site: Site) -> None:
    sub = site.subs[0]
    await site.device.login(sub)
    for number in range(20):
        for step, params in (("logout", name(sub)), ("login", proof(sub))):
            asked = {"id": f"{number}{step}", "params": params}
            site.device.device.publish(site.device.session(step), json.dumps(asked).encode(), qos=1)
        for step in ("logout", "login"):
            answer = json.loads((await site.device.receive(site.device.session(step) + "_reply")).payload)
            assert (answer["id"], answer["code"]) == (f"{number}{step}", 200)
    site.device.device.publish(sub.topic("update"), b"x")
    await asyncio.sleep(0.3)
    assert (await site.session(sub)).online
    assert site.device.quiet()


async def test_a_gateways_end_ends_all_its_sub_devices(site: Site, taps: Taps, redis_url: str, prefix: str) -> None:
    await site.device.batch_login(*site.subs)
    await site.device.device.disconnect()
    for one in (*site.subs, site.device.identity):
        await taps.status(one, "online", "offline")
    redis = await open_redis(redis_url, prefix)
    keys = await redis.one(cmd("KEYS", f"{prefix}*session:*"))
    await redis.close()
    assert keys == []


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_gateway_that_connects_anew_has_its_sub_devices_back_and_hears_nothing_of_the_old_ones(
    site: Site, taps: Taps, elsewhere: bool
) -> None:
    gateway = await site.platform.gateway() if elsewhere else site.gateway
    await site.device.batch_login(*site.subs)
    again = await site.connect(gateway, site.device.identity)
    assert (await again.batch_login(*site.subs))["code"] == 200
    await site.device.device.wait_closed(5)
    for sub in site.subs:
        again.device.publish(sub.topic("update"), b"x")
        (message,) = await taps.custom_many(sub, 1)
        session = await site.session(sub)
        assert (session.online, session.epoch) == (True, message.epoch)
    await asyncio.sleep(0.3)
    assert again.quiet()
    for sub in site.subs:
        assert json.loads(taps.statuses(sub)[-1].payload)["status"] == "online"


async def test_a_connection_that_closes_during_log_ins_leaves_no_claim(site: Site, taps: Taps) -> None:
    for number in range(5):
        device = await site.connect(site.gateway, site.device.identity)
        params = {"deviceList": [proof(sub) for sub in site.subs]}
        asked = json.dumps({"id": str(number), "params": params}).encode()
        device.device.publish(device.session("batch_login"), asked)
        await asyncio.sleep(number * 0.004)
        await device.device.disconnect()
    await site.offline(*site.subs, site.device.identity)
    assert site.gateway.runtime.metrics.registry.get_sample_value("thinghub_connection_gateway_core_sessions") == 0.0


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_the_device_itself_takes_over_and_the_gateway_is_told_427(
    site: Site, taps: Taps, elsewhere: bool
) -> None:
    sub = site.subs[0]
    await site.device.batch_login(*site.subs)
    gateway = await site.platform.gateway() if elsewhere else site.gateway
    alone = await gateway.connect(sub)
    assert await site.device.error(sub) == 427
    await taps.status(sub, "online", "online")
    site.device.device.publish(sub.topic("update"), b"too late")
    alone.publish(sub.topic("update"), b"by itself")
    assert [one.payload for one in await taps.custom_many(sub, 1)] == [b"by itself"]
    site.device.device.publish(site.subs[1].topic("update"), b"others stay")
    await taps.custom_many(site.subs[1], 1)
    assert (await site.device.login(sub))["code"] == 200
    await alone.wait_closed(5)


async def test_a_sub_device_that_moves_to_another_gateway_leaves_the_first(site: Site) -> None:
    sub = site.subs[0]
    await site.device.login(sub)
    other = await site.connect(await site.platform.gateway(), await site.platform.device(site.gateways))
    assert (await other.add(sub))["code"] == 200
    assert (await other.login(sub))["code"] == 200
    assert await site.device.error(sub) in (427, 6401)
    assert (await site.device.login(sub))["code"] == 6401
    assert (await site.session(sub)).gateway_address.endswith("gateway-1")


async def test_a_disabled_sub_device_is_ended_alone_and_the_gateway_is_told_522(site: Site, taps: Taps) -> None:
    sub, other = site.subs[:2]
    await site.device.batch_login(sub, other)
    await site.platform.enable(sub, False)
    assert await site.device.error(sub) == 522
    await taps.status(sub, "online", "offline")
    assert (await site.device.login(sub))["code"] == 522
    assert (await site.session(other)).online
    assert not site.device.device.closed.is_set()
    await site.platform.enable(sub, True)
    assert (await site.device.login(sub))["code"] == 200


async def test_a_deleted_sub_device_is_told_521_and_is_unknown_afterwards(site: Site) -> None:
    sub = site.subs[0]
    await site.device.login(sub)
    ref = registry_pb2.DeviceRef(device=device_id(sub))
    await site.platform.registry.DeleteDevice(registry_pb2.DeleteDeviceRequest(ref=ref))
    assert await site.device.error(sub) == 521
    assert (await site.device.login(sub))["code"] == 6100


async def test_a_lost_kick_is_made_good_when_the_topology_is_compared(
    platform: Hub, taps: Taps, redis_url: str, prefix: str
) -> None:
    gateway = await platform.gateway(policy_check_seconds=1)
    site = await Site(platform, gateway).prepare()
    sub = site.subs[0]
    await site.device.batch_login(*site.subs)
    # Nobody finds its session: the kick goes nowhere.
    redis = await open_redis(redis_url, prefix)
    await redis.one(cmd("DEL", f"session:{{{sub.product_key}/{sub.device_name}}}"))
    await redis.close()
    assert (await site.device.ask(sys(site.device.identity, "thing/topo/delete"), [name(sub)]))["code"] == 200
    assert await site.device.error(sub) == 6401
    assert (await site.session(site.subs[1])).online


async def test_a_disabled_gateway_device_takes_all_with_it(site: Site, taps: Taps) -> None:
    await site.device.batch_login(*site.subs)
    await site.platform.enable(site.device.identity, False)
    await site.device.device.wait_closed(5)
    for one in (*site.subs, site.device.identity):
        await taps.status(one, "online", "offline")


async def test_a_log_in_that_races_a_disable_ends_without_a_claim(site: Site) -> None:
    sub = site.subs[0]
    for _ in range(5):
        answer, _ = await asyncio.gather(site.device.login(sub), site.platform.enable(sub, False))
        assert answer["code"] in (200, 427, 522)
        await site.offline(sub)
        await site.platform.enable(sub, True)


async def test_who_publishes_for_a_device_without_a_session_is_told_520_a_few_times_a_second(site: Site) -> None:
    sub = site.subs[0]
    for number in range(20):
        site.device.device.publish(sub.topic("update"), f"{number}".encode(), qos=0)
    assert await site.device.error(sub) == 520
    await asyncio.sleep(0.5)
    count = site.gateway.runtime.metrics.registry.get_sample_value
    untold = count("thinghub_connection_gateway_events_total", {"event": "foreign_untold"})
    assert untold is not None
    assert untold >= 12
    assert (await site.device.login(sub))["code"] == 200


async def test_a_sub_device_is_no_gateway(site: Site) -> None:
    sub, other = site.subs[:2]
    await site.device.login(sub)
    topic = f"/ext/session/{sub.product_key}/{sub.device_name}/combine/login"
    assert (await site.device.ask(topic, proof(other)))["code"] == 460
    assert not (await site.session(other)).online


async def test_messages_reach_a_sub_device_and_a_reply_its_own_session(site: Site) -> None:
    sub, away = site.subs[:2]
    await site.device.login(sub)
    topic = sys(sub, "thing/service/property/set")
    messages = [
        pb.Downlink(device=device_id(one), topic=sys(one, "thing/service/property/set"), payload=b"{}", qos=1)
        for one in (sub, away)
    ]
    answer = await site.gateway.rpc.Deliver(pb.DeliverRequest(messages=messages, wait_ms=3000))
    assert [one.outcome for one in answer.deliveries] == [pb.OUTCOME_DELIVERED, pb.OUTCOME_OFFLINE]
    assert (await site.device.receive(topic)).payload == b"{}"
    assert await site.device.device.subscribe(sub.topic("get")) == (1,)
    assert await site.device.device.subscribe(away.topic("get")) == (128,)
    custom = pb.Downlink(device=device_id(sub), topic=sub.topic("get"), payload=b"hello", qos=1)
    answer = await site.gateway.rpc.Deliver(pb.DeliverRequest(messages=[custom], wait_ms=3000))
    assert answer.deliveries[0].outcome == pb.OUTCOME_DELIVERED
    assert (await site.device.receive(sub.topic("get"))).payload == b"hello"


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("ext", [0, 1])
async def test_a_request_to_a_sub_device_is_answered(platform: Hub, ext: int, elsewhere: bool) -> None:
    site = await Site(platform, await platform.gateway()).prepare(ext)
    asked_at = await platform.gateway() if elsewhere else site.gateway
    sub = site.subs[0]
    await site.device.login(sub)
    topic = sub.topic("get") if ext else ""
    request = pb.RequestRequest(device=device_id(sub), payload=b"ping", timeout_ms=5000, topic=topic)

    async def answer() -> str:
        prefix = "/ext/rrpc/" if ext else sys(sub, "rrpc/request/")
        asked = await site.device.receive(prefix)
        site.device.device.publish(asked.topic.replace("/rrpc/request/", "/rrpc/response/"), b"pong")
        return asked.topic

    got, where = await asyncio.gather(asked_at.rpc.Request(request, timeout=10), answer())
    assert (got.code, got.payload) == (pb.RequestResponse.CODE_SUCCESS, b"pong")
    assert where.endswith(sub.topic("get") if ext else str(got.message_id))


async def test_a_request_to_a_sub_device_is_offline_the_moment_it_logs_out(site: Site) -> None:
    sub = site.subs[0]
    await site.device.login(sub)
    request = pb.RequestRequest(device=device_id(sub), payload=b"ping", timeout_ms=8000)
    asked = asyncio.ensure_future(site.gateway.rpc.Request(request, timeout=10))
    await site.device.receive(sys(sub, "rrpc/request/"))
    began = time.monotonic()
    await site.device.logout(sub)
    assert (await asked).code == pb.RequestResponse.CODE_OFFLINE
    assert time.monotonic() - began < 4


async def test_a_broadcast_and_the_time_reach_sub_devices(site: Site) -> None:
    await site.device.batch_login(*site.subs[:2])
    request = pb.BroadcastRequest(product_key=site.sensors, payload=b"all", message_id=77)
    reached = await site.gateway.rpc.Broadcast(request)
    assert (reached.sent, reached.failed) == (2, 0)
    for sub in site.subs[:2]:
        assert (await site.device.receive(sys(sub, "broadcast/request/77"))).payload == b"all"
        base = f"/ext/ntp/{sub.product_key}/{sub.device_name}/"
        site.device.device.publish(base + "request", b'{"deviceSendTime":"1"}')
        assert json.loads((await site.device.receive(base + "response")).payload)["deviceSendTime"] == "1"


async def test_room_behind_a_gateway_and_the_rate_of_a_device_are_bounded(platform: Hub) -> None:
    gateway = await platform.gateway(max_sub_devices=2, connects_per_minute=3)
    site = await Site(platform, gateway).prepare()
    assert [(await site.device.login(sub))["code"] for sub in site.subs] == [200, 200, 428]
    assert (await site.device.logout(site.subs[0]))["code"] == 200
    assert (await site.device.login(site.subs[2]))["code"] in (200, 428)
    for _ in range(3):
        await site.device.logout(site.subs[1])
        await site.device.login(site.subs[1])
    await site.device.logout(site.subs[1])
    assert (await site.device.login(site.subs[1]))["code"] == 429


async def test_a_registry_that_is_away_is_answered_500(site: Site) -> None:
    await site.platform.stop_service("device-registry")
    assert (await site.device.login(site.subs[0]))["code"] == 500


async def test_sub_devices_outlive_redis(
    redis_url: str, private_redis: RedisServer, postgres_dsn: str, prefix: str
) -> None:
    """The bus on one Redis, sessions on another that is paused."""
    async with hub(private_redis.url, postgres_dsn, prefix, bus_url=f"streams+{redis_url}") as platform:
        gateway = await platform.gateway()
        async with tapped(platform.bus) as taps:
            site = await Site(platform, gateway).prepare()
            sub, other, away = site.subs
            assert (await site.device.batch_login(sub, other))["code"] == 200
            private_redis.pause()
            try:
                assert (await site.device.login(away, deadline=20))["code"] == 500
                site.device.device.publish(sub.topic("update"), b"without redis")
                assert (await taps.custom_many(sub, 1))[0].payload == b"without redis"
                topic = sys(sub, "thing/service/property/set")
                message = pb.Downlink(device=device_id(sub), topic=topic, payload=b"{}", qos=1)
                answer = await gateway.rpc.Deliver(pb.DeliverRequest(messages=[message], wait_ms=3000))
                assert answer.deliveries[0].outcome == pb.OUTCOME_DELIVERED
                assert (await site.device.logout(other))["code"] == 200
            finally:
                private_redis.resume()
            await taps.status(other, "online", "offline")
            await asyncio.wait_for(gateway.runtime.health.wait_ready(), 15)
            assert (await site.device.login(away))["code"] == 200
            await taps.status(sub, "online")


async def test_many_sub_devices_come_and_go_over_one_connection(platform: Hub) -> None:
    gateway = await platform.gateway()
    site = await Site(platform, gateway).prepare()
    subs = [await platform.device(site.sensors) for _ in range(100)]
    for start in range(0, 100, 50):
        assert (await site.device.add(*subs[start : start + 50]))["code"] == 200
    for start in range(0, 100, 50):
        assert (await site.device.batch_login(*subs[start : start + 50]))["code"] == 200
    value = gateway.runtime.metrics.registry.get_sample_value
    assert value("thinghub_connection_gateway_core_sub_sessions") == 100.0
    await site.device.device.disconnect()
    await site.offline(*subs)
    assert value("thinghub_connection_gateway_core_sub_sessions") == 0.0


async def test_an_orderly_stop_releases_sub_devices_too(site: Site, taps: Taps) -> None:
    await site.device.batch_login(*site.subs)
    await site.gateway.stop()
    for one in (*site.subs, site.device.identity):
        await taps.status(one, "online", "offline")


async def test_a_device_of_its_own_that_connects_is_no_sub_device(site: Site) -> None:
    plain = Device(site.subs[0])
    await plain.connect(*site.gateway.mqtt)
    assert (await GatewayDevice(plain).login(site.subs[1]))["code"] == 6401
