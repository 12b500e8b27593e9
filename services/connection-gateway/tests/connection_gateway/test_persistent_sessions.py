"""Persistent sessions with a whole gateway, or two: what is kept, what is queued, and in which order it comes."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from tests.support.device import Device, Inbound
from tests.support.gateway_core import connect_packet
from tests.support.gateways import Hub, RunningGateway, device_id, eventually, hub
from tests.support.identity import Identity
from tests.support.servers import RedisServer
from thinghub.common.redis import cmd, open_redis
from thinghubpb.gateway.v1 import gateway_pb2 as pb


async def deliver(
    gateway: RunningGateway,
    identity: Identity,
    payloads: Sequence[bytes],
    *,
    short: str = "get",
    qos: int = 1,
    wait_ms: int = 0,
    ttl_ms: int = 0,
) -> list[str]:
    messages = [
        pb.Downlink(
            device=device_id(identity),
            topic=identity.topic(short),
            payload=payload,
            qos=qos,
            message_id=1,
            ttl_ms=ttl_ms,
        )
        for payload in payloads
    ]
    answer = await gateway.rpc.Deliver(pb.DeliverRequest(messages=messages, wait_ms=wait_ms))
    return [pb.Outcome.Name(one.outcome).removeprefix("OUTCOME_") for one in answer.deliveries]


async def kept_device(gateway: RunningGateway, identity: Identity) -> None:
    """Subscribes in a persistent session and goes away."""
    device = await gateway.connect(identity, clean=False)
    assert not device.session_present
    assert await device.subscribe(identity.topic("get")) == (1,)
    await device.disconnect()
    await offline(gateway, identity)


async def offline(gateway: RunningGateway, identity: Identity) -> None:
    async def away() -> bool:
        request = pb.GetSessionsRequest(devices=[device_id(identity)])
        return not (await gateway.rpc.GetSessions(request)).sessions[0].online

    await eventually(away)


async def received(device: Device, many: int) -> list[Inbound]:
    return [await device.receive() for _ in range(many)]


async def quiet(device: Device, seconds: float = 0.3) -> bool:
    await asyncio.sleep(seconds)
    return device.inbox.empty()


def numbered(first: int, last: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, last)]


class SlowDevice:
    """Speaks bytes: reads PUBLISHes of QoS 1, and acknowledges when told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def connected(cls, identity: Identity, gateway: RunningGateway) -> AsyncIterator["SlowDevice"]:
        reader, writer = await asyncio.open_connection(*gateway.mqtt)
        login = identity.login()
        writer.write(connect_packet(login.client_id, login.username, login.password, flags=0xC0))
        assert (await asyncio.wait_for(reader.readexactly(4), 5))[3] == 0
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def receive(self) -> tuple[int, bytes, bool]:
        """Packet id, payload, DUP."""
        head = (await asyncio.wait_for(self._reader.readexactly(1), 5))[0]
        size, shift = 0, 0
        while True:
            (byte,) = await self._reader.readexactly(1)
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = await self._reader.readexactly(size)
        assert head >> 4 == 3
        (topic,) = struct.unpack_from(">H", body)
        (packet_id,) = struct.unpack_from(">H", body, 2 + topic)
        return packet_id, body[4 + topic :], bool(head & 8)

    def acknowledge(self, packet_id: int) -> None:
        self._writer.write(struct.pack(">BBH", 0x40, 2, packet_id))

    async def nothing_more(self, seconds: float = 0.4) -> bool:
        try:
            await asyncio.wait_for(self._reader.readexactly(1), seconds)
        except TimeoutError:
            return True
        return False

    async def ended(self, seconds: float) -> bool:
        try:
            return await asyncio.wait_for(self._reader.read(), seconds) is not None
        except TimeoutError:
            return False


async def test_what_was_missed_comes_in_order_once(platform: Hub) -> None:
    gateway, other = await platform.gateway(), await platform.gateway()
    identity = await platform.device(await platform.product())
    await kept_device(gateway, identity)
    assert set(await deliver(other, identity, numbered(0, 30))) == {"QUEUED"}
    assert await deliver(gateway, identity, numbered(30, 50), wait_ms=500) == ["QUEUED"] * 20
    device = await other.connect(identity, clean=False)
    assert device.session_present
    got = await received(device, 50)
    assert [one.payload for one in got] == numbered(0, 50)
    assert not any(one.dup for one in got)
    assert await quiet(device)
    await device.disconnect()
    back = await gateway.connect(identity, clean=False)
    assert back.session_present
    assert await quiet(back)
    assert await deliver(other, identity, [b"online"], wait_ms=3000) == ["DELIVERED"]
    assert (await back.receive()).payload == b"online"


async def test_more_than_a_devices_rate_still_comes_in_order(platform: Hub) -> None:
    gateway = await platform.gateway(queue_window=20)
    identity = await platform.device(await platform.product())
    await kept_device(gateway, identity)
    await deliver(gateway, identity, numbered(0, 150))
    device = await gateway.connect(identity, clean=False)
    assert [one.payload for one in await received(device, 150)] == numbered(0, 150)


async def test_what_was_not_acknowledged_comes_again_with_dup_before_the_rest(platform: Hub) -> None:
    gateway = await platform.gateway(queue_window=3)
    identity = await platform.device(await platform.product())
    await kept_device(gateway, identity)
    await deliver(gateway, identity, numbered(0, 5))
    async with SlowDevice.connected(identity, gateway) as slow:
        first = [await slow.receive() for _ in range(3)]
        assert [(payload, dup) for _, payload, dup in first] == [(b"0", False), (b"1", False), (b"2", False)]
        assert await slow.nothing_more()
        slow.acknowledge(first[1][0])
        packet_id, payload, dup = await slow.receive()
        assert (payload, dup) == (b"3", False)
        slow.acknowledge(packet_id)
        assert (await slow.receive())[1] == b"4"
    device = await gateway.connect(identity, clean=False)
    got = await received(device, 3)
    assert [(one.payload, one.dup) for one in got] == [(b"0", True), (b"2", True), (b"4", True)]
    assert await quiet(device)


async def test_a_device_that_never_acknowledges_is_made_to_come_again(platform: Hub) -> None:
    gateway = await platform.gateway(acknowledge_seconds=1)
    identity = await platform.device(await platform.product())
    await kept_device(gateway, identity)
    await deliver(gateway, identity, [b"1"])
    async with SlowDevice.connected(identity, gateway) as slow:
        await slow.receive()
        assert await slow.ended(5)
    device = await gateway.connect(identity, clean=False)
    assert (await device.receive()).dup


async def test_a_device_that_moves_while_messages_come_misses_none(platform: Hub) -> None:
    gateways = [await platform.gateway(), await platform.gateway()]
    identity = await platform.device(await platform.product())
    await kept_device(gateways[0], identity)

    async def send() -> None:
        for number in range(200):
            assert await deliver(gateways[number % 2], identity, [b"%d" % number]) != ["FAILED"]
            await asyncio.sleep(0.01)

    sending = asyncio.create_task(send())
    devices = []
    for turn in range(8):
        devices.append(await gateways[turn % 2].connect(identity, clean=False))
        await asyncio.sleep(0.25)
    await sending

    async def all_came() -> bool:
        return sum(device.inbox.qsize() for device in devices) >= 200 and devices[-1].inbox.qsize() > 0

    await eventually(all_came, 10)
    assert await quiet(devices[-1]) is False
    heard = [[device.inbox.get_nowait() for _ in range(device.inbox.qsize())] for device in devices]
    assert {int(one.payload) for each in heard for one in each} == set(range(200))
    for each in heard:
        numbers = [int(one.payload) for one in each]
        assert numbers == sorted(set(numbers))
    first: dict[bytes, int] = {}
    for place, each in enumerate(heard):
        for one in each:
            assert first.setdefault(one.payload, place) == place or one.dup


async def test_a_clean_session_wipes_what_was_kept(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    await kept_device(gateway, identity)
    assert await deliver(gateway, identity, [b"lost"]) == ["QUEUED"]
    device = await gateway.connect(identity)
    assert not device.session_present
    assert await deliver(gateway, identity, [b"nobody"]) == ["NO_SUBSCRIBER"]
    await device.disconnect()
    await offline(gateway, identity)
    assert await deliver(gateway, identity, [b"nobody"]) == ["OFFLINE"]
    back = await gateway.connect(identity, clean=False)
    assert not back.session_present
    assert await quiet(back)


async def test_only_what_was_subscribed_is_queued_and_nothing_of_qos_0(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    await kept_device(gateway, identity)
    assert await deliver(gateway, identity, [b"x"], short="other") == ["NO_SUBSCRIBER"]
    assert await deliver(gateway, identity, [b"x"], qos=0) == ["OFFLINE"]
    device = await gateway.connect(identity, clean=False)
    await device.unsubscribe(identity.topic("get"))
    await device.disconnect()
    await offline(gateway, identity)
    assert await deliver(gateway, identity, [b"x"]) == ["NO_SUBSCRIBER"]


async def test_an_automatic_topic_that_was_unsubscribed_stays_so(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    topic = f"/sys/{identity.product_key}/{identity.device_name}/thing/config/push"

    async def pushed() -> str:
        message = pb.Downlink(device=device_id(identity), topic=topic, payload=b"x", qos=1, message_id=1)
        answer = await gateway.rpc.Deliver(pb.DeliverRequest(messages=[message], wait_ms=2000))
        return pb.Outcome.Name(answer.deliveries[0].outcome).removeprefix("OUTCOME_")

    device = await gateway.connect(identity, clean=False)
    assert await pushed() == "DELIVERED"
    await device.unsubscribe(topic)
    assert await pushed() == "NO_SUBSCRIBER"
    await device.disconnect()
    await offline(gateway, identity)
    assert await pushed() == "NO_SUBSCRIBER"
    back = await gateway.connect(identity, clean=False)
    assert await pushed() == "NO_SUBSCRIBER"
    assert await back.subscribe(topic) == (1,)
    assert await pushed() == "DELIVERED"


async def test_overflow_and_age_are_told_and_counted(platform: Hub) -> None:
    gateway = await platform.gateway(queue_messages=3)
    identity = await platform.device(await platform.product())
    await kept_device(gateway, identity)
    assert await deliver(gateway, identity, [b"old"], ttl_ms=50) == ["QUEUED"]
    assert await deliver(gateway, identity, numbered(0, 2)) == ["QUEUED"] * 2
    await asyncio.sleep(0.1)
    assert await deliver(gateway, identity, numbered(2, 5)) == ["QUEUED", "DISPLACED", "DISPLACED"]
    device = await gateway.connect(identity, clean=False)
    assert [one.payload for one in await received(device, 3)] == numbered(2, 5)
    value = gateway.runtime.metrics.registry.get_sample_value
    events = "thinghub_connection_gateway_events_total"
    assert value(events, {"event": "queue_expired"}) == 1.0
    assert value(events, {"event": "queue_displaced"}) == 2.0


async def test_requests_are_never_queued(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    await kept_device(gateway, identity)
    request = pb.RequestRequest(device=device_id(identity), payload=b"x", timeout_ms=1000)
    assert (await gateway.rpc.Request(request)).code == pb.RequestResponse.CODE_OFFLINE
    device = await gateway.connect(identity, clean=False)
    assert await quiet(device)


async def test_a_reply_to_a_persistent_session_waits_for_it(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity, clean=False)
    (session,) = (await gateway.rpc.GetSessions(pb.GetSessionsRequest(devices=[device_id(identity)]))).sessions
    reply = pb.Downlink(
        device=device_id(identity), topic=identity.topic("reply"), payload=b"r", qos=1, origin=session.gateway,
        handle=session.handle,
    )  # fmt: skip
    answer = await gateway.rpc.Deliver(pb.DeliverRequest(messages=[reply], wait_ms=2000))
    assert answer.deliveries[0].outcome == pb.OUTCOME_DELIVERED
    assert (await device.receive()).payload == b"r"
    await device.disconnect()
    await offline(gateway, identity)
    answer = await gateway.rpc.Deliver(pb.DeliverRequest(messages=[reply]))
    assert answer.deliveries[0].outcome == pb.OUTCOME_QUEUED
    back = await gateway.connect(identity, clean=False)
    assert (await back.receive()).payload == b"r"


async def test_a_persistent_session_ends_with_its_time(platform: Hub) -> None:
    gateway = await platform.gateway(session_keep_seconds=1)
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity, clean=False)
    await device.subscribe(identity.topic("get"))
    await asyncio.sleep(1.5)
    await device.disconnect()
    await offline(gateway, identity)
    assert await deliver(gateway, identity, [b"x"]) == ["QUEUED"]
    await asyncio.sleep(1.2)
    assert await deliver(gateway, identity, [b"x"]) == ["OFFLINE"]
    back = await gateway.connect(identity, clean=False)
    assert not back.session_present


async def test_on_a_redis_cluster(redis_cluster_url: str, redis_url: str, postgres_dsn: str, prefix: str) -> None:
    async with hub(redis_cluster_url, postgres_dsn, prefix, bus_url=f"streams+{redis_url}") as platform:
        here, there = await platform.gateway(), await platform.gateway()
        product = await platform.product()
        identities = [await platform.device(product) for _ in range(6)]
        for identity in identities:
            await kept_device(here, identity)
            assert set(await deliver(there, identity, numbered(0, 10))) == {"QUEUED"}
        devices = [await there.connect(identity, clean=False) for identity in identities]
        for device in devices:
            assert device.session_present
            assert [one.payload for one in await received(device, 10)] == numbered(0, 10)


async def test_a_session_whose_keeping_was_lost_comes_again(platform: Hub, redis_url: str, prefix: str) -> None:
    gateway = await platform.gateway(session_keep_seconds=2)
    identity = await platform.device(await platform.product())
    device = await gateway.connect(identity, clean=False)
    await device.subscribe(identity.topic("get"))
    redis = await open_redis(redis_url, prefix)
    await redis.one(cmd("DEL", f"subs:{{{identity.product_key}/{identity.device_name}}}"))
    await redis.close()
    await device.wait_closed(5)
    await offline(gateway, identity)
    assert not (await gateway.connect(identity, clean=False)).session_present


async def test_a_deleted_device_leaves_nothing_behind(platform: Hub) -> None:
    gateway = await platform.gateway()
    identity = await platform.device(await platform.product())
    await kept_device(gateway, identity)
    assert await deliver(gateway, identity, [b"old"]) == ["QUEUED"]
    target = pb.KickTarget(device=device_id(identity), reason="deleted")
    await gateway.rpc.Kick(pb.KickRequest(targets=[target]))
    device = await gateway.connect(identity, clean=False)
    assert not device.session_present
    assert await quiet(device)


async def test_an_outage_of_redis_is_told_and_loses_nothing(
    redis_url: str, private_redis: RedisServer, postgres_dsn: str, prefix: str
) -> None:
    async with hub(private_redis.url, postgres_dsn, prefix, bus_url=f"streams+{redis_url}") as platform:
        gateway = await platform.gateway()
        identity, other = [await platform.device(await platform.product()) for _ in range(2)]
        device, changing = [await gateway.connect(one, clean=False) for one in (identity, other)]
        await device.subscribe(identity.topic("get"))
        assert await deliver(gateway, identity, [b"1"], wait_ms=3000) == ["DELIVERED"]
        private_redis.pause()
        try:
            assert await deliver(gateway, identity, [b"not stored"]) == ["FAILED"]
            subscribing = asyncio.create_task(changing.subscribe(other.topic("get")))
            await changing.wait_closed(8)
            subscribing.cancel()
        finally:
            private_redis.resume()
        await asyncio.wait_for(gateway.runtime.health.wait_ready(), 15)
        assert not device.closed.is_set()

        async def again() -> bool:
            return await deliver(gateway, identity, [b"2"], wait_ms=3000) == ["DELIVERED"]

        await eventually(again, 10)
        assert (await received(device, 2))[0].payload == b"1"
