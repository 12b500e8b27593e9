"""A real gateway with auth and registry around it, and a path to it that can be cut."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest

import tests.support.identity
from tests.support.cable import Cable, cable
from tests.support.child import scratch_directory
from tests.support.gateways import Hub, RunningGateway, Taps, device_id, hub, tapped
from tests.support.openapi import OpenApi
from tests.support.platform import AllInOne
from thinghub.common.bus.port import BusRecord
from thinghub.device_protocol.bus_topics import DEVICE_OTA
from thinghub.device_protocol.records import Message, decode_record
from thinghub.device_sdk import Backoff, Device, Endpoint, Identity, Options
from thinghubpb.gateway.v1 import gateway_pb2

QUICK = Options(
    backoff=Backoff(0.05, 0.2), stable=0.5, connect_deadline=10, attempt_deadline=3, deadline=10, handler_deadline=5
)


@pytest.fixture
async def platform(redis_url: str, postgres_dsn: str, prefix: str) -> AsyncIterator[Hub]:
    async with hub(redis_url, postgres_dsn, prefix) as running:
        yield running


@pytest.fixture
async def gateway(platform: Hub) -> RunningGateway:
    return await platform.gateway()


@pytest.fixture
async def taps(platform: Hub) -> AsyncIterator[Taps]:
    async with tapped(platform.bus) as running:
        yield running


@pytest.fixture
async def path(gateway: RunningGateway) -> AsyncIterator[Cable]:
    async with cable(gateway.mqtt) as made:
        yield made


@pytest.fixture
async def identity(platform: Hub) -> tests.support.identity.Identity:
    return await platform.device(await platform.product())


@pytest.fixture
def device(path: Cable, identity: tests.support.identity.Identity) -> Callable[..., Device]:
    """Not entered yet; through the path."""

    def make(options: Options = QUICK, **more: object) -> Device:
        words = Identity(identity.product_key, identity.device_name, identity.device_secret)
        return Device(words, Endpoint("127.0.0.1", path.port), options, **more)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="module")
def one_process(postgres_dsn: str) -> Iterator[AllInOne]:
    """The platform as a user runs it, which lets a device connect as often as tests do."""
    folder = scratch_directory("sdk")
    running = AllInOne(folder, postgres_dsn, {"THINGHUB_CONNECTION_GATEWAY_CONNECTS_PER_MINUTE": "100"})
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder)


@pytest.fixture
async def api(one_process: AllInOne) -> AsyncIterator[OpenApi]:
    yield one_process.api()
    await one_process.close_apis()


class Uplinks:
    """What the device sent on OTA topics, as a service reads it from the bus; and the service's way back."""

    def __init__(self, gateway: RunningGateway, identity: tests.support.identity.Identity) -> None:
        self.messages: list[Message] = []
        self._gateway, self._identity = gateway, identity

    async def handle(self, records: Sequence[BusRecord]) -> None:
        for record in records:
            self.messages.extend(decode_record(record.value).messages)

    def params(self, what: str) -> list[dict[str, Any]]:
        """Of the messages whose topic has this word."""
        return [json.loads(one.payload)["params"] for one in self.messages if what in one.topic]

    async def first(self, what: str, number: int = 0) -> Message:
        async with asyncio.timeout(10):
            while len(found := [one for one in self.messages if what in one.topic]) <= number:
                await asyncio.sleep(0.02)
        return found[number]

    async def deliver(self, topic: str, payload: bytes) -> None:
        downlink = gateway_pb2.Downlink(device=device_id(self._identity), topic=topic, payload=payload, qos=1)
        answer = await self._gateway.rpc.Deliver(gateway_pb2.DeliverRequest(messages=[downlink], wait_ms=2000))
        assert answer.deliveries[0].outcome == gateway_pb2.OUTCOME_DELIVERED


@pytest.fixture
async def uplinks(
    platform: Hub, gateway: RunningGateway, identity: tests.support.identity.Identity
) -> AsyncIterator[Uplinks]:
    made = Uplinks(gateway, identity)
    reading = asyncio.create_task(platform.bus.tail([DEVICE_OTA], made.handle))
    await asyncio.sleep(0.2)
    yield made
    reading.cancel()
