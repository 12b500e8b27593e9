import subprocess
import sys

import pytest

from thinghub.cli.admin import admin_command, create_topics
from thinghub.common.bus import open_bus
from thinghub.common.runtime import Runtime
from thinghub.device_protocol.bus_topics import BUS_TOPICS, CONTROL, DEVICE_CUSTOM, RULE_RETRY_1S

NAMES = sorted(topic.name for topic in BUS_TOPICS)


@pytest.fixture(params=["streams", "kafka"])
def bus_url(request: pytest.FixtureRequest) -> str:
    if request.param == "kafka":
        return str(request.getfixturevalue("kafka_url"))
    return f"streams+{request.getfixturevalue('redis_url')}"


async def test_missing_topics_are_created_with_their_partitions_once(bus_url: str, prefix: str) -> None:
    runtime = Runtime.for_tests("admin")
    assert sorted(await create_topics(bus_url, prefix, runtime, {DEVICE_CUSTOM: 3})) == NAMES
    assert await create_topics(bus_url, prefix, runtime) == []
    bus = await open_bus(bus_url, prefix, runtime)
    try:
        assert [await bus.partitions(name) for name in (DEVICE_CUSTOM, RULE_RETRY_1S, CONTROL)] == [3, 4, 1]
    finally:
        await bus.close()


def test_the_command_says_what_it_created(bus_url: str, prefix: str) -> None:
    command = [
        sys.executable,
        "-m",
        "thinghub.cli.main",
        "admin",
        "topics",
        "--bus-url",
        bus_url,
        "--bus-prefix",
        prefix,
    ]
    said = [subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout for _ in range(2)]
    assert said[0].startswith(f"{len(NAMES)} of {len(NAMES)} topics created: ")
    assert said[1] == f"0 of {len(NAMES)} topics created\n"


def test_partitions_of_an_unknown_topic_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        admin_command(["topics", "--partitions", "no.such=3"])
    assert "no.such=3 is not TOPIC=N" in capsys.readouterr().err
