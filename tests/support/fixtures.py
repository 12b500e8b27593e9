"""Fixtures of every test: one Kafka, Redis, Redis cluster, PostgreSQL and S3 server a session, started on first use.

Tests share them through a fresh `prefix` (keys, topics) and schemas. A test that kills or pauses a server takes a
`private_*` one instead. A server that cannot start fails the test with a sentence; nothing is left out silently.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import pytest

from tests.support.servers import KafkaServer, PostgresServer, RedisCluster, RedisServer, S3Server, ServerFailed


class _Server(Protocol):
    def start(self) -> object: ...
    def close(self) -> None: ...


ServerT = TypeVar("ServerT", bound=_Server)


def _serve(make: Callable[[], ServerT]) -> Iterator[ServerT]:
    server: ServerT | None = None
    try:
        server = make()
        server.start()
    except ServerFailed as error:
        if server is not None:
            server.close()
        pytest.fail(str(error), pytrace=False)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def prefix() -> str:
    """Fresh and unique; valid at the front of a Redis key and of a Kafka topic."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    yield from _serve(RedisServer)


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisServer) -> str:
    return redis_server.url


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    yield from _serve(RedisCluster)


@pytest.fixture(scope="session")
def redis_cluster_url(redis_cluster: RedisCluster) -> str:
    return redis_cluster.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    yield from _serve(PostgresServer)


@pytest.fixture(scope="session")
def postgres_dsn(postgres_server: PostgresServer) -> str:
    return postgres_server.dsn


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[KafkaServer]:
    yield from _serve(KafkaServer)


@pytest.fixture(scope="session")
def kafka_url(request: pytest.FixtureRequest) -> str:
    """`kafka://host:port`: KAFKA_BOOTSTRAP when it is set, otherwise the session's own broker."""
    if given := os.environ.get("KAFKA_BOOTSTRAP"):
        return f"kafka://{given}"
    server: KafkaServer = request.getfixturevalue("kafka_server")
    return server.url


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    yield from _serve(S3Server)


@pytest.fixture
def private_redis() -> Iterator[RedisServer]:
    """A Redis that the test may kill, pause and restart."""
    yield from _serve(RedisServer)


@pytest.fixture
def private_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that the test may kill, pause and restart."""
    yield from _serve(PostgresServer)


@pytest.fixture
def private_s3() -> Iterator[S3Server]:
    """An S3 server that the test may kill, pause and restart."""
    yield from _serve(S3Server)


@pytest.fixture(scope="module")
def private_kafka() -> Iterator[KafkaServer]:
    """A Kafka that the module's tests may kill, pause and restart; each leaves it running."""
    yield from _serve(KafkaServer)
