from collections.abc import AsyncIterator

import pytest

from tests.support.gateways import Hub, Taps, hub, tapped


@pytest.fixture
async def platform(redis_url: str, postgres_dsn: str, prefix: str) -> AsyncIterator[Hub]:
    """Auth and registry, ready; the test starts its gateways."""
    async with hub(redis_url, postgres_dsn, prefix) as running:
        yield running


@pytest.fixture
async def taps(platform: Hub) -> AsyncIterator[Taps]:
    """What reaches the bus from now on."""
    async with tapped(platform.bus) as running:
        yield running
