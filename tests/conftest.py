"""The two forms of the platform, each started once for all the flows and the SDKs that a worker drives."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.child import scratch_directory
from tests.support.platform import AllInOne, Platform
from tests.support.postgres_server import with_password
from tests.support.processes import Processes
from tests.support.s3_server import S3Server

# The server asks for none; services must handle it as if it did.
PLATFORM_PASSWORD = secrets.token_hex(12)
# flows reconnect one device more often than a fleet does, and the functions they post to are on the loopback
PATIENT = {
    "THINGHUB_CONNECTION_GATEWAY_CONNECTS_PER_MINUTE": "100",
    "THINGHUB_RULE_ENGINE_FC_NETWORKS": '["127.0.0.0/8"]',
    "THINGHUB_LOG_FORMAT": "json",
}


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    path = scratch_directory("platform")
    yield path
    shutil.rmtree(path)


def started(platform: Platform) -> Iterator[Platform]:
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()


@pytest.fixture(scope="session")
def all_in_one(folder: Path, postgres_dsn: str) -> Iterator[Platform]:
    yield from started(AllInOne(folder, postgres_dsn, PATIENT))


@pytest.fixture(scope="session")
def processes(
    folder: Path, kafka_url: str, redis_url: str, postgres_dsn: str, s3_server: S3Server
) -> Iterator[Platform]:
    yield from started(
        Processes(
            folder / "processes",
            bus_url=kafka_url,
            redis_url=redis_url,
            postgres_dsn=with_password(postgres_dsn, PLATFORM_PASSWORD),
            prefix="flows.",
            env=PATIENT,
            packages=s3_server.settings("flows"),
        )
    )


@pytest.fixture(scope="session", params=["all_in_one", "processes"])
def platform(request: pytest.FixtureRequest, kafka_url: str) -> Platform:
    chosen: Platform = request.getfixturevalue(request.param)
    chosen.sink_kafka = kafka_url.removeprefix("kafka://")
    return chosen
