"""What the rule engine's tests share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from tests.support.auth_service import auth_starter
from tests.support.rule_engine_service import World, world
from thinghub.common.errors import Unavailable
from thinghub.common.metrics import Metrics
from thinghub.common.tracing import Tracing
from thinghub.rule_engine.domain.outputs import Origin, Output
from thinghub.rule_engine.domain.retries import Waiting
from thinghub.rule_engine.ports.secrets import Secret
from thinghub.rule_engine.service.observation import Observation

NOW = 1_700_000_000_000


class Kept:
    """Secrets by name, as auth would give them; `away` makes it unavailable."""

    def __init__(self) -> None:
        self.secrets: dict[str, Secret] = {}
        self.away = False
        self.asked = 0

    async def resolve(self, instance_id: str, name: str) -> Secret | None:
        self.asked += 1
        if self.away:
            raise Unavailable("auth is away")
        return self.secrets.get(name)


@dataclass
class Parked:
    """A parking in memory, for tests of one lane; `away` makes it unavailable."""

    places: dict[Waiting, list[Output]] = field(default_factory=dict)
    away: bool = False
    loss: str = "too_large"

    async def park(self, place: Waiting, outputs: Sequence[Output], not_before_ms: int) -> int:
        if self.away:
            raise Unavailable("the bus is away")
        await asyncio.sleep(0)
        self.places.setdefault(place, []).extend(outputs)
        return 0

    async def waiting(self) -> dict[str, int]:
        return {place.name: len(outputs) for place, outputs in self.places.items()}


@pytest.fixture
def secrets() -> Kept:
    return Kept()


@pytest.fixture
def parked() -> Parked:
    return Parked()


@pytest.fixture
def observation() -> Observation:
    return Observation(Metrics("rule-engine"), Tracing.memory())


@pytest.fixture
def output() -> Callable[..., Output]:
    """Makes outputs of one device: `output(number, **result)`."""

    def make(number: int = 1, /, **result: object) -> Output:
        origin = Origin(number, "pk", "dev1", "/pk/dev1/user/update", NOW)
        return Output(1, 2, origin, dict(result))

    return make


@pytest.fixture
async def database(postgres_dsn: str, prefix: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to a database of the test's own, `database_dsn`."""
    name = prefix.rstrip(".")
    server = await asyncpg.connect(postgres_dsn)
    await server.execute(f'CREATE DATABASE "{name}"')
    connection = await asyncpg.connect(postgres_dsn.rpartition("/")[0] + "/" + name)
    yield connection
    await connection.close()
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


@pytest.fixture
def database_dsn(postgres_dsn: str, prefix: str) -> str:
    return postgres_dsn.rpartition("/")[0] + "/" + prefix.rstrip(".")


@pytest.fixture
def bus_url(request: pytest.FixtureRequest) -> str:
    """Streams, or `kafka` where a test is parametrized so."""
    if getattr(request, "param", "streams") == "kafka":
        return str(request.getfixturevalue("kafka_url"))
    return f"streams+{request.getfixturevalue('redis_url')}"


@pytest.fixture
async def surroundings(
    postgres_dsn: str, redis_url: str, bus_url: str, prefix: str, tmp_path: Path
) -> AsyncIterator[World]:
    """A bus with its topics, auth and a gateway; rule engines are started by the test, in a schema of its own."""
    name = prefix.strip(".")
    servers = {"postgres_dsn": postgres_dsn, "redis_url": redis_url, "redis_prefix": prefix}
    fast = {"refused_seconds": (0.1, 0.2, 0.3), "outage_seconds": 0.5, "hold_seconds": 0.5, "sink_seconds": 1.0}
    async with auth_starter(tmp_path, postgres_schema=f"auth_{name}", **servers) as start_auth:
        auth = await start_auth()
        async with world(tmp_path, auth, bus_url, prefix, postgres_schema=f"rule_{name}", **servers, **fast) as found:
            yield found
