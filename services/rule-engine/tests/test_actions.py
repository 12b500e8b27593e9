"""KAFKA and FC in a running rule engine: retries, slow and refusing functions, what a creation refuses."""

import asyncio
import json
from typing import Any

import kafka
import pytest

from tests.support.http_function import Request, http_function
from tests.support.rule_engine_service import RuleEngine, World, until
from thinghub.common.errors import RemoteFault
from thinghub.device_protocol import bus_topics

LOOPBACK = ("127.0.0.0/8",)


def count(engine: RuleEngine, type: str, outcome: str) -> float:
    return engine.count("action_results_total", type=type, outcome=outcome)


def number(request: Request) -> int:
    return int(json.loads(request.body)["n"])


async def reason(call: Any) -> str:
    with pytest.raises(RemoteFault) as error:
        await call
    return error.value.remote_reason


async def test_a_function_gets_each_output_and_one_it_refuses_is_tried_four_times(surroundings: World) -> None:
    engine = await surroundings.start(fc_networks=LOOPBACK)
    async with http_function() as function:
        function.status = lambda request: 422 if number(request) == 2 else 200
        await surroundings.secret("key", "a key")
        rule_id = await engine.running("r", "FC", {"url": function.url(), "hmac_ref": "key"}, "n")
        await surroundings.publish([{"n": n} for n in range(5)])
        await until(lambda: count(engine, "FC", "dead_letter") == 1, "the refused one is dead")
        tried = [number(request) for request in function.requests]
        assert (sorted(set(tried)), tried.count(2), len(tried)) == ([0, 1, 2, 3, 4], 4, 8)
        assert len({request.headers["ce-id"] for request in function.requests}) == 5
        assert await engine.statuses(rule_id) == ["ok"]
    async with surroundings.read(bus_topics.RULE_DEADLETTER) as found:
        await until(lambda: len(found) == 1, "a dead letter")


async def test_a_function_that_is_away_gets_everything_when_it_is_back(surroundings: World) -> None:
    engine = await surroundings.start(fc_networks=LOOPBACK)
    async with http_function() as function:
        function.status = lambda request: 503
        rule_id = await engine.running("r", "FC", {"url": function.url()}, "n")
        await surroundings.publish([{"n": n} for n in range(100)])
        await until(lambda: count(engine, "FC", "parked") >= 100, "parked")
        assert await engine.statuses(rule_id) == ["open"]
        function.requests.clear()
        function.status = lambda request: 200
        await until(lambda: {number(request) for request in function.requests} == set(range(100)), "all")
        assert count(engine, "FC", "dead_letter") == 0


async def test_a_function_that_takes_less_than_it_is_given_gets_all_in_time(surroundings: World) -> None:
    engine = await surroundings.start(fc_networks=LOOPBACK, fc_connections=4)
    async with http_function() as function:
        calls = 0

        def throttled(request: Request) -> int:
            nonlocal calls
            calls += 1
            return 429 if calls % 12 == 0 else 200

        function.status = throttled
        await engine.running("r", "FC", {"url": function.url()}, "n")
        await surroundings.publish([{"n": n} for n in range(60)])
        await until(lambda: count(engine, "FC", "done") == 60, "each is done")
        assert count(engine, "FC", "dead_letter") == 0


async def test_an_answer_slower_than_anyone_waits_counts_when_the_output_comes_again(surroundings: World) -> None:
    engine = await surroundings.start(fc_networks=LOOPBACK, hold_seconds=0.2, sink_seconds=2.0)
    async with http_function() as function:
        function.delay = 0.4
        await engine.running("r", "FC", {"url": function.url()}, "n")
        await surroundings.publish([{"n": 1}])
        await until(lambda: count(engine, "FC", "done") == 1, "done at its second coming")
        assert count(engine, "FC", "parked") >= 1
        await asyncio.sleep(1)
        assert len(function.requests) == 1


async def test_what_a_creation_refuses(surroundings: World, kafka_url: str) -> None:
    engine = await surroundings.start()
    rule_id = (await engine.create("r", "n")).rule_id
    for url in ("http://127.0.0.1/f", "http://localhost:9104/", "http://169.254.169.254/latest/meta-data/"):
        assert await reason(engine.action(rule_id, "FC", {"url": url})) == "target_refused"
    missing = {"url": "http://192.0.2.1/f", "hmac_ref": "none"}
    assert await reason(engine.action(rule_id, "FC", missing)) == "secret_not_found"
    await engine.action(rule_id, "FC", {"url": "http://192.0.2.1/f"})
    topic = {"cluster_ref": "k", "topic": "no-such-topic"}
    assert await reason(engine.action(rule_id, "KAFKA", topic)) == "secret_not_found"
    await surroundings.secret("k", json.dumps({"bootstrap_servers": kafka_url.removeprefix("kafka://")}))
    assert await reason(engine.action(rule_id, "KAFKA", topic)) == "kafka_topic_not_found"


async def test_outputs_become_records_of_a_topic(surroundings: World, kafka_url: str, prefix: str) -> None:
    servers, topic = kafka_url.removeprefix("kafka://"), f"{prefix}own"
    admin = kafka.KafkaAdminClient(bootstrap_servers=servers)
    admin.create_topics({topic: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()
    engine = await surroundings.start()
    await surroundings.secret("k", json.dumps({"bootstrap_servers": servers}))
    await engine.running("r", "KAFKA", {"cluster_ref": "k", "topic": topic, "key": "${n}"}, "n, deviceName() AS d")
    await surroundings.publish([{"n": n} for n in range(50)])
    await until(lambda: count(engine, "KAFKA", "done") == 50, "all are stored")

    def read() -> list[Any]:
        consumer = kafka.KafkaConsumer(
            topic, bootstrap_servers=servers, auto_offset_reset="earliest", group_id=None, consumer_timeout_ms=2000
        )
        try:
            return list(consumer)
        finally:
            consumer.close()

    found = await asyncio.to_thread(read)
    assert sorted(json.loads(record.value)["n"] for record in found) == list(range(50))
    assert {record.key for record in found} == {str(n).encode() for n in range(50)}
    assert len({dict(record.headers)["message-id"] for record in found}) == 50
