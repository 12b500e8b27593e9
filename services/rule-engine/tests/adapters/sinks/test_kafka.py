"""KAFKA against a real broker."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import kafka
import pytest

from tests.support.servers import KafkaServer
from thinghub.common.bus.kafka_admin import KafkaAdmin
from thinghub.common.bus.port import TopicSpec
from thinghub.common.errors import Fault
from thinghub.rule_engine.adapters.sinks.kafka import KafkaSinks
from thinghub.rule_engine.adapters.sinks.kafka_cluster import Clusters, cluster_options
from thinghub.rule_engine.domain.configurations import Kafka
from thinghub.rule_engine.domain.outputs import Output, derived_id
from thinghub.rule_engine.domain.templates import parse_template
from thinghub.rule_engine.errors import ActionConfigInvalid
from thinghub.rule_engine.ports.secrets import Secret
from thinghub.rule_engine.ports.sinks import SinkDown

Outputs = Callable[..., Output]


class Kept(Protocol):
    secrets: dict[str, Secret]

    async def resolve(self, instance_id: str, name: str) -> Secret | None: ...


@pytest.fixture
async def sinks(secrets: Kept) -> AsyncIterator[KafkaSinks]:
    clusters = Clusters(secrets, 5.0)
    yield KafkaSinks(clusters)
    await clusters.close()


@pytest.fixture
def servers(kafka_url: str) -> str:
    return kafka_url.removeprefix("kafka://")


@pytest.fixture
async def topic(servers: str, prefix: str) -> str:
    return await made(servers, f"{prefix}out")


async def made(servers: str, name: str) -> str:
    admin = KafkaAdmin([servers])
    await admin.create([TopicSpec(name, partitions=3, retention_s=3600)])
    await admin.close()
    return name


def read(servers: str, topic: str, count: int) -> list[Any]:
    consumer = kafka.KafkaConsumer(
        topic, bootstrap_servers=servers, auto_offset_reset="earliest", group_id=None, consumer_timeout_ms=500
    )
    found: list[Any] = []
    end = time.monotonic() + 20
    while len(found) < count and time.monotonic() < end:
        found += list(consumer)
    consumer.close()
    return found


async def test_an_output_is_a_record_with_its_id_and_key(
    secrets: Kept, sinks: KafkaSinks, servers: str, topic: str, output: Outputs
) -> None:
    secrets.secrets["k"] = Secret(json.dumps({"bootstrap_servers": servers}), 1)
    configuration = Kafka("k", topic, parse_template("${room}-${deviceName}"))
    await sinks.check("", configuration, {})
    sink = sinks.open("", configuration)
    outputs = [output(1, room="a", t=1.5), output(2, room="a", t=2), output(3, t=3)]
    assert await sink.deliver(outputs) == [None, None, None]
    found = {json.loads(one.value)["t"]: one for one in await asyncio.to_thread(read, servers, topic, 3)}
    assert [found[t].key for t in (1.5, 2, 3)] == [b"a-dev1", b"a-dev1", None]
    assert found[1.5].partition == found[2].partition
    for made_output, record in zip(outputs, (found[1.5], found[2], found[3]), strict=True):
        headers = dict(record.headers)
        assert headers["message-id"] == str(derived_id(made_output)).encode()
        assert (headers["product-key"], headers["device-name"]) == (b"pk", b"dev1")


async def test_a_device_keeps_its_order_without_a_key(
    secrets: Kept, sinks: KafkaSinks, servers: str, topic: str, output: Outputs
) -> None:
    secrets.secrets["k"] = Secret(json.dumps({"bootstrap_servers": servers}), 1)
    sink = sinks.open("", Kafka("k", topic))
    for start in range(0, 3000, 1000):
        answers = await sink.deliver([output(n, n=n) for n in range(start, start + 1000)])
        assert answers == [None] * 1000
    found = await asyncio.to_thread(read, servers, topic, 3000)
    assert {one.key for one in found} == {b"pk/dev1"}
    assert [json.loads(one.value)["n"] for one in found] == list(range(3000))


async def test_a_record_too_large_is_refused_alone(
    secrets: Kept, sinks: KafkaSinks, servers: str, topic: str, output: Outputs
) -> None:
    secrets.secrets["k"] = Secret(json.dumps({"bootstrap_servers": servers}), 1)
    sink = sinks.open("", Kafka("k", topic))
    outputs = [output(1, n=1), output(2, n="x" * 3_000_000), output(3, n=3)]
    answers = await sink.deliver(outputs)
    assert [answer is None for answer in answers] == [True, False, True]
    assert "TooLarge" in str(answers[1])
    assert await sink.deliver([output(4, n=4)]) == [None]


async def test_creation_looks_for_the_topic(secrets: Kept, sinks: KafkaSinks, servers: str, prefix: str) -> None:
    async def refusal(name: str, topic: str) -> tuple[str, str]:
        with pytest.raises(Fault) as fault:
            await sinks.check("", Kafka(name, topic), {})
        return fault.value.reason, fault.value.details["position"]

    assert await refusal("k", "t") == ("secret_not_found", "cluster_ref")
    secrets.secrets["k"] = Secret(json.dumps({"bootstrap_servers": servers}), 1)
    assert await refusal("k", f"{prefix}missing") == ("kafka_topic_not_found", "topic")
    secrets.secrets["away"] = Secret(json.dumps({"bootstrap_servers": "127.0.0.1:1"}), 1)
    assert await refusal("away", "t") == ("sink_unreachable", "cluster_ref")
    secrets.secrets["bad"] = Secret("127.0.0.1:9092", 1)
    assert await refusal("bad", "t") == ("action_config_invalid", "cluster_ref")


async def test_a_topic_that_is_gone_and_a_broker_that_is_away_are_down_and_a_corrected_secret_heals(
    secrets: Kept, sinks: KafkaSinks, servers: str, topic: str, prefix: str, output: Outputs
) -> None:
    secrets.secrets["k"] = Secret(json.dumps({"bootstrap_servers": servers}), 1)
    with pytest.raises(SinkDown):
        await sinks.open("", Kafka("k", f"{prefix}missing")).deliver([output()])
    secrets.secrets["k"] = Secret(json.dumps({"bootstrap_servers": "127.0.0.1:1"}), 2)
    sink = sinks.open("", Kafka("k", topic))
    with pytest.raises(SinkDown):
        await sink.deliver([output()])
    secrets.secrets["k"] = Secret(json.dumps({"bootstrap_servers": servers}), 3)
    assert await sink.deliver([output()]) == [None]


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_an_outage_is_down_in_time_and_passes(
    secrets: Kept, private_kafka: KafkaServer, prefix: str, output: Outputs, how: str
) -> None:
    servers = private_kafka.bootstrap
    topic = await made(servers, f"{prefix}out")
    secrets.secrets["k"] = Secret(json.dumps({"bootstrap_servers": servers}), 1)
    clusters = Clusters(secrets, 2.0)
    sink = KafkaSinks(clusters).open("", Kafka("k", topic))
    assert await sink.deliver([output(1, n=1)]) == [None]
    getattr(private_kafka, how)()
    began = time.monotonic()
    with pytest.raises(SinkDown):
        await sink.deliver([output(2, n=2)])
    assert time.monotonic() - began < 5
    private_kafka.start() if how == "kill" else private_kafka.resume()
    end = time.monotonic() + 30
    while True:
        try:
            answers = await sink.deliver([output(3, n=3)])
        except SinkDown:
            assert time.monotonic() < end
            await asyncio.sleep(0.2)
            continue
        break
    assert answers == [None]
    await clusters.close()


def test_a_cluster_with_a_user() -> None:
    given = {"bootstrap_servers": "a:1, b:2", "username": "u", "password": "p", "sasl_mechanism": "SCRAM-SHA-256"}
    options = cluster_options(json.dumps(given))
    assert options.pop("ssl_context").check_hostname
    assert options == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"bootstrap_servers": ""},
        {"bootstrap_servers": "a"},
        {"bootstrap_servers": "a:b"},
        {"bootstrap_servers": "a:1,"},
        {"bootstrap_servers": ["a:1"]},
        {"security_protocol": "TLS"},
        {"security_protocol": "SASL_SSL"},
        {"username": "u"},
        {"username": "u", "password": "s3cret", "sasl_mechanism": "GSSAPI"},
        {"security_protocol": "SSL", "ca": "s3cret"},
        {"servers": "s3cret"},
    ],
)
def test_a_cluster_that_cannot_be_used_is_refused_without_showing_it(change: dict[str, object]) -> None:
    with pytest.raises(ActionConfigInvalid) as refusal:
        cluster_options(json.dumps({"bootstrap_servers": "h:1", **change}))
    assert "s3cret" not in refusal.value.message
