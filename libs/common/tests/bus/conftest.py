"""One suite, every adapter: `kind` runs each test against real Kafka and against real Redis."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bus_suite import Member, make_bus
from tests.support.servers import KafkaServer, RedisServer
from thinghub.common.bus.port import Bus


@pytest.fixture(params=["kafka", "streams"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    if kind == "kafka":
        return str(request.getfixturevalue("kafka_url"))
    return "streams+" + str(request.getfixturevalue("redis_url"))


@pytest.fixture
def server(kind: str, request: pytest.FixtureRequest) -> KafkaServer | RedisServer:
    """A server that the test may disturb, and leaves running."""
    found: KafkaServer | RedisServer = request.getfixturevalue("private_kafka" if kind == "kafka" else "private_redis")
    return found


@pytest.fixture
def server_url(kind: str, server: KafkaServer | RedisServer) -> str:
    return server.url if kind == "kafka" else f"streams+{server.url}"


@pytest.fixture
async def open_bus(prefix: str) -> AsyncIterator[Callable[..., Bus]]:
    """Makes buses that are closed at the end; keyword arguments are the adapter's."""
    buses: list[Bus] = []

    def make(url: str, **options: Any) -> Bus:  # Any: the adapters' own keyword arguments
        buses.append(make_bus(url, prefix, **options))
        return buses[-1]

    yield make
    for bus in buses:
        await bus.close()


@pytest.fixture
async def bus(open_bus: Callable[..., Bus], url: str) -> Bus:
    return open_bus(url)


@pytest.fixture
def start_member(tmp_path: Path, url: str, prefix: str) -> Iterator[Callable[[str, str], Member]]:
    """`start_member(name, topic)`; killed at the end."""
    members: list[Member] = []

    def start(name: str, topic: str) -> Member:
        members.append(Member(tmp_path, name, url, prefix, topic))
        return members[-1]

    yield start
    for member in members:
        member.child.kill()
