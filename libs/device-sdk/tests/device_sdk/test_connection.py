"""Against a real gateway, through a path that can be cut."""

import asyncio
import dataclasses
import time
from collections.abc import Callable

import pytest

import tests.support.identity
from tests.support.cable import Cable
from tests.support.child import free_port
from tests.support.gateways import Hub, RunningGateway, Taps, device_id
from thinghub.device_sdk import (
    CannotConnect,
    Closed,
    ConnectRefused,
    DeadlineExceeded,
    Device,
    Endpoint,
    Identity,
    NotConnected,
    SubscriptionRefused,
    TooManyWaiting,
)
from thinghub.device_sdk import Options as DeviceOptions
from thinghubpb.gateway.v1 import gateway_pb2

Make = Callable[..., Device]


class Received(list[bytes]):
    """A handler that keeps what came."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    async def __call__(self, _topic: str, payload: bytes) -> None:
        self.append(payload)
        self._more.set()

    async def until(self, many: int, seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while len(self) < many:
                self._more.clear()
                await self._more.wait()


async def send(
    gateway: RunningGateway, identity: tests.support.identity.Identity, topic: str, payload: bytes, wait_ms: int = 2000
) -> int:
    """A downlink of QoS 1; its outcome."""
    downlink = gateway_pb2.Downlink(device=device_id(identity), topic=topic, payload=payload, qos=1, message_id=1)
    answer = await gateway.rpc.Deliver(gateway_pb2.DeliverRequest(messages=[downlink], wait_ms=wait_ms))
    return answer.deliveries[0].outcome


async def test_a_publish_returns_when_the_platform_has_it(
    device: Make, taps: Taps, identity: tests.support.identity.Identity
) -> None:
    async with device() as one:
        await asyncio.gather(*(one.publish(one.topic("update"), bytes([number])) for number in range(20)))
        assert sorted(message.payload[0] for message in await taps.custom_many(identity, 20)) == list(range(20))


async def test_a_cut_connection_comes_back_with_its_subscriptions_and_the_waiting_publishes(
    device: Make, path: Cable, gateway: RunningGateway, taps: Taps, identity: tests.support.identity.Identity
) -> None:
    received, status = Received(), list[bool]()
    one = device(on_status=status.append)
    await one.subscribe(one.topic("get"), received)
    async with one:
        for round_ in range(3):
            path.cut()
            await one.publish(one.topic("update"), b"after %d" % round_)
            assert await send(gateway, identity, one.topic("get"), b"%d" % round_) == gateway_pb2.OUTCOME_DELIVERED
        await received.until(3)
        assert received == [b"0", b"1", b"2"]
        assert {message.payload for message in await taps.custom_many(identity, 3)} == {
            b"after %d" % round_ for round_ in range(3)
        }
    assert path.connections == 4
    assert status == [True, False] * 4


async def test_a_publish_whose_acknowledgement_was_lost_is_sent_again(
    device: Make, path: Cable, taps: Taps, identity: tests.support.identity.Identity
) -> None:
    async with device() as one:
        path.hold_answers()
        publishing = asyncio.create_task(one.publish(one.topic("update"), b"once or twice"))
        await taps.custom_many(identity, 1)
        assert not publishing.done()
        path.cut()
        await publishing
        assert {message.payload for message in await taps.custom_many(identity, 2)} == {b"once or twice"}


async def test_a_silent_platform_costs_the_deadline_and_no_more(device: Make, path: Cable) -> None:
    async with device() as one:
        path.hold_answers()
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await one.publish(one.topic("update"), b"", deadline=0.3)
        assert time.monotonic() - began < 2


async def test_a_wrong_secret_is_refused_once_and_at_once(path: Cable, device: Make) -> None:
    right = device()
    wrong = Device(dataclasses.replace(right.identity, device_secret="wrong"), Endpoint("127.0.0.1", path.port))
    began = time.monotonic()
    with pytest.raises(ConnectRefused) as raised:
        async with wrong:
            pass
    assert raised.value.code == 4
    assert raised.value.permanent
    assert time.monotonic() - began < 5
    assert path.connections == 1


async def test_a_device_disabled_while_connected_ends_with_the_refusal(
    device: Make, platform: Hub, path: Cable, identity: tests.support.identity.Identity
) -> None:
    async with device() as one:
        await platform.enable(identity, False)
        with pytest.raises(ConnectRefused) as raised:
            await asyncio.wait_for(one.wait_ended(), 10)
        assert raised.value.code == 5
        made = path.connections
        with pytest.raises(ConnectRefused):
            await one.publish(one.topic("update"), b"")
        with pytest.raises(ConnectRefused):
            await one.subscribe(one.topic("get"), Received())
        await asyncio.sleep(0.5)
        assert path.connections == made, "nobody knocks any more"


async def test_where_nobody_listens_entering_ends_in_time() -> None:
    nowhere = Device(Identity("pk", "dn", "s"), Endpoint("127.0.0.1", free_port()), DeviceOptions(connect_deadline=0.5))
    with pytest.raises(CannotConnect) as raised:
        async with nowhere:
            pass
    assert isinstance(raised.value.__cause__, OSError)


async def test_a_platform_that_was_away_is_found_again(
    device: Make,
    path: Cable,
    platform: Hub,
    gateway: RunningGateway,
    taps: Taps,
    identity: tests.support.identity.Identity,
) -> None:
    async with device() as one:
        await gateway.stop()
        async with asyncio.timeout(5):
            while one.connected:
                await asyncio.sleep(0.02)
        with pytest.raises(NotConnected):
            await one.publish(one.topic("update"), b"", qos=0)
        waiting = asyncio.create_task(one.publish(one.topic("update"), b"kept", deadline=30))
        await asyncio.sleep(1)
        path.target = (await platform.gateway()).mqtt
        await waiting
        assert b"kept" in [message.payload for message in taps.custom(identity) or await taps.custom_many(identity, 1)]


async def test_topics_of_others_are_refused(device: Make) -> None:
    async with device() as one:
        with pytest.raises(SubscriptionRefused) as raised:
            await one.subscribe("/other/device/user/get", Received())
        assert raised.value.filters == ("/other/device/user/get",)


async def test_a_message_is_acknowledged_when_its_handler_is_done(
    device: Make, gateway: RunningGateway, identity: tests.support.identity.Identity
) -> None:
    finish = asyncio.Event()

    async def handle(_topic: str, _payload: bytes) -> None:
        await finish.wait()

    async with device() as one:
        await one.subscribe(one.topic("get"), handle)
        assert await send(gateway, identity, one.topic("get"), b"", wait_ms=300) == gateway_pb2.OUTCOME_TIMEOUT
        finish.set()
        assert await send(gateway, identity, one.topic("get"), b"") == gateway_pb2.OUTCOME_DELIVERED


async def test_an_unsubscribed_topic_is_quiet(
    device: Make, gateway: RunningGateway, identity: tests.support.identity.Identity
) -> None:
    async with device() as one:
        await one.subscribe(one.topic("get"), Received())
        await one.unsubscribe(one.topic("get"))
        assert await send(gateway, identity, one.topic("get"), b"") == gateway_pb2.OUTCOME_NO_SUBSCRIBER


async def test_waiting_publishes_are_bounded(device: Make, path: Cable) -> None:
    async with device(DeviceOptions(in_flight=2, waiting=3)) as one:
        path.hold_answers()
        waiting = [asyncio.create_task(one.publish(one.topic("update"), b"")) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyWaiting):
            await one.publish(one.topic("update"), b"")
    for ended in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(ended, Closed)


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.005, 0.02, 0.1, 0.3])
async def test_cancellation_at_any_moment_leaves_nothing_running(device: Make, moment: float) -> None:
    async def use() -> None:
        async with device() as one:
            while True:
                await one.publish(one.topic("update"), b"")

    using = asyncio.create_task(use())
    await asyncio.sleep(moment)
    before = {using, asyncio.current_task()}
    using.cancel()
    await asyncio.wait({using}, timeout=5)
    assert using.cancelled()
    await asyncio.sleep(0.05)
    ours = [task for task in asyncio.all_tasks() - before if "device_sdk" in repr(task) or "gmqtt" in repr(task)]
    assert ours == []


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_that_meets_the_loss_of_the_connection_ends_it(
    device: Make, path: Cable, turns: int
) -> None:
    lost = asyncio.Event()
    one = device(on_status=lambda connected: None if connected else lost.set())

    async def use() -> None:
        async with one:
            await asyncio.sleep(60)

    using = asyncio.create_task(use())
    await one.wait_connected()
    path.cut()
    for _ in range(turns):
        await asyncio.sleep(0)
    using.cancel()
    await asyncio.wait({using}, timeout=3)
    assert using.cancelled()
    assert lost.is_set()


async def test_what_no_platform_takes_is_refused_before_it_is_sent(device: Make) -> None:
    async with device() as one:
        with pytest.raises(ValueError, match="payload"):
            await one.publish(one.topic("update"), bytes(256 * 1024 + 1))
        with pytest.raises(ValueError, match="QoS"):
            await one.publish(one.topic("update"), b"", qos=2)


async def test_system_and_custom_calls_are_answered(
    device: Make, gateway: RunningGateway, identity: tests.support.identity.Identity
) -> None:
    async def shout(request: bytes) -> bytes:
        return request.upper()

    async def spell(request: bytes) -> bytes:
        return b"-".join(request[i : i + 1] for i in range(len(request)))

    async with device() as one:
        one.on_call(shout)
        await one.on_custom_call(one.topic("rpc"), spell)
        for topic, expected in (("", b"ABC"), (one.topic("rpc"), b"a-b-c")):
            asked = gateway_pb2.RequestRequest(device=device_id(identity), payload=b"abc", topic=topic, timeout_ms=4000)
            assert (await gateway.rpc.Request(asked)).payload == expected
