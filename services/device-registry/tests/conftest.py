"""device-registry running in the test's own loop with auth beside it, on the session's PostgreSQL and Redis (its bus as
well), and a gateway's face that records what it is asked."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.auth_service import Auth, auth_starter
from tests.support.gateway_calls import GatewayCalls
from tests.support.registry_service import Registry, StartRegistry, registry_starter
from thinghub.common.bus import open_bus
from thinghub.common.bus.port import Bus, TopicSpec
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bus_topics import (
    CONTROL,
    DEVICE_LIFECYCLE,
    DEVICE_MODEL,
    DEVICE_TAGS,
    DEVICE_TOPOLOGY,
    specs,
)


@pytest.fixture
async def auth(postgres_dsn: str, redis_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[Auth]:
    schema = "auth_" + prefix.strip(".")
    servers = {"postgres_dsn": postgres_dsn, "redis_url": redis_url}
    async with auth_starter(tmp_path, postgres_schema=schema, redis_prefix=prefix, **servers) as start:
        yield await start()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[GatewayCalls]:
    calls = GatewayCalls()
    async with calls.serving(f"unix://{tmp_path}/gateway"):
        yield calls


@pytest.fixture
def bus_url(redis_url: str) -> str:
    return f"streams+{redis_url}"


@pytest.fixture
async def bus(bus_url: str, prefix: str) -> AsyncIterator[Bus]:
    """With the registry's topics."""
    opened = await open_bus(bus_url, prefix, Runtime.for_tests("test"))
    names = (DEVICE_LIFECYCLE, DEVICE_TAGS, DEVICE_TOPOLOGY, DEVICE_MODEL, CONTROL)
    wanted = [spec for spec in specs() if spec.name in names]
    await opened.ensure_topics([TopicSpec(one.name, one.partitions, one.retention_s, one.groups) for one in wanted])
    yield opened
    await opened.close()


@pytest.fixture
async def start_registry(
    postgres_dsn: str, redis_url: str, bus_url: str, prefix: str, tmp_path: Path, auth: Auth, gateway: GatewayCalls
) -> AsyncIterator[StartRegistry]:
    """Starts device-registry with these settings besides the session's; waits until it is ready unless told not to."""
    async with registry_starter(
        tmp_path,
        postgres_dsn=postgres_dsn,
        postgres_schema="registry_" + prefix.strip("."),
        redis_url=redis_url,
        redis_prefix=prefix,
        bus_url=bus_url,
        bus_prefix=prefix,
        auth_target=auth.target,
        gateway_target=f"unix://{tmp_path}/gateway",
    ) as start:
        yield start


@pytest.fixture
async def registry(start_registry: StartRegistry, bus: Bus) -> Registry:
    return await start_registry()
