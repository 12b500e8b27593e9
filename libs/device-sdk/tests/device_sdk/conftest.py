"""A real gateway with auth and registry around it, and a path to it that can be cut."""

from collections.abc import AsyncIterator, Callable

import pytest

import tests.support.identity
from tests.support.cable import Cable, cable
from tests.support.gateways import Hub, RunningGateway, Taps, hub, tapped
from thinghub.device_sdk import Backoff, Device, Endpoint, Identity, Options

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
