"""The rule engine as a service: rules by gRPC, messages from the bus, rows and messages out."""

import asyncio
import time
from typing import Any

import asyncpg
import pytest

from tests.support.rule_engine_service import PRODUCT, RuleEngine, World, until
from tests.support.servers import PostgresServer
from thinghub.common.errors import RemoteFault
from thinghub.device_protocol import bus_topics, records
from thinghub.device_protocol.message_ids import derive
from thinghubpb.bus.v1 import retry_pb2
from thinghubpb.gateway.v1 import gateway_pb2
from thinghubpb.rule.v1 import rule_pb2

both = pytest.mark.parametrize("bus_url", ["streams", "kafka"], indirect=True)
Database = Any  # asyncpg names its connection class in stubs only

ROWS = {"dsn_ref": "db", "table": "t", "columns": {"n": "${n}", "device": "${deviceName}"}}
BACK = {"topic": "/" + PRODUCT + "/${deviceName}/user/get", "topicType": 1}


async def make_table(world: World, database: Database, dsn: str) -> None:
    await database.execute("CREATE TABLE t (n int CHECK (n < 1000), device text, message_id bigint UNIQUE)")
    await world.secret("db", dsn)


async def numbers(database: Database) -> list[int]:
    return [row["n"] for row in await database.fetch("SELECT n FROM t ORDER BY n")]


async def rows_are(database: Database, expected: list[int], seconds: float = 20) -> None:
    async def there() -> bool:
        return await numbers(database) == expected

    await until(there, f"rows {expected[:20]}", seconds)


async def refused(call: Any) -> RemoteFault:
    with pytest.raises(RemoteFault) as error:
        await call
    return error.value


# -- rules ------------------------------------------------------------------------------------------------------------


async def test_a_rule_is_kept_as_it_was_given(surroundings: World) -> None:
    engine = await surroundings.start()
    created = await engine.create("r1", "a, b.c AS d", "a > 1", description="what it does")
    assert created.rule_id >= 100_000
    assert (created.topic, created.running) == (f"/{PRODUCT}/+/user/update", False)
    found = (await engine.stub.GetRule(rule_pb2.GetRuleRequest(rule_id=created.rule_id))).rule
    assert found == created
    given = await engine.create("r2", rule_id=77)
    listed = await engine.stub.ListRules(rule_pb2.ListRulesRequest(page=1, page_size=1))
    assert (listed.total, [rule.rule_id for rule in listed.rules]) == (2, [given.rule_id])


async def test_bad_rules_are_refused_with_reason_and_position(surroundings: World) -> None:
    engine = await surroundings.start()
    error = await refused(engine.create("r", "a, tan(b) AS x"))
    assert (error.kind, error.remote_reason, error.details) == (
        "InvalidArgument",
        "sql_invalid",
        {"position": "4", "clause": "select"},
    )
    assert "tan() is not available" in error.message
    assert (await refused(engine.create("r", topic_type=3))).remote_reason == "topic_type_unsupported"
    assert (await refused(engine.create("r", short_topic="x"))).remote_reason == "topic_invalid"
    assert (await refused(engine.create("r", data_type="BINARY"))).remote_reason == "data_type_unsupported"
    await engine.create("r", rule_id=5)
    assert (await refused(engine.create("r"))).remote_reason == "rule_name_exists"
    assert (await refused(engine.create("r2", rule_id=5))).remote_reason == "rule_exists"
    await surroundings.product("a1other", "other")
    await engine.create("r", instance_id="other", product_key="a1other")


async def test_a_rule_of_another_instance_is_not_found(surroundings: World) -> None:
    engine = await surroundings.start()
    await surroundings.product("a1one", "one")
    rule = await engine.create("r", instance_id="one", product_key="a1one")
    asked = rule_pb2.GetRuleRequest(instance_id="two", rule_id=rule.rule_id)
    assert (await refused(engine.stub.GetRule(asked))).remote_reason == "rule_not_found"
    assert (await refused(engine.start(rule.rule_id))).remote_reason == "rule_not_found"


async def test_an_incomplete_rule_does_not_start_and_a_running_one_is_not_deleted(surroundings: World) -> None:
    engine = await surroundings.start()
    incomplete = await engine.create("r1", select="")
    assert (await refused(engine.start(incomplete.rule_id))).details == {"missing": "Select"}
    rule = await engine.create("r2")
    delete = rule_pb2.DeleteRuleRequest(rule_id=rule.rule_id)
    await engine.start(rule.rule_id)
    await engine.start(rule.rule_id)
    assert (await refused(engine.stub.DeleteRule(delete))).remote_reason == "rule_running"
    await engine.stop(rule.rule_id)
    await engine.stub.DeleteRule(delete)
    assert (await refused(engine.stub.DeleteRule(delete))).remote_reason == "rule_not_found"


async def test_actions_are_checked_when_they_are_created(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    engine = await surroundings.start()
    rule_id = (await engine.create("r")).rule_id
    assert (await refused(engine.action(rule_id, "RDS", ROWS))).remote_reason == "secret_not_found"
    await surroundings.secret("db", database_dsn)
    missing = await refused(engine.action(rule_id, "RDS", ROWS))
    assert (missing.remote_reason, missing.details["position"]) == ("table_not_found", "table")
    await database.execute("CREATE TABLE t (n int, device text)")
    unique = await refused(engine.action(rule_id, "RDS", ROWS))
    assert unique.remote_reason == "table_unique_missing"
    await database.execute(unique.details["ddl"])
    action_id = await engine.action(rule_id, "RDS", ROWS)
    assert (await refused(engine.action(rule_id, "RDS", dict(reversed(ROWS.items()))))).remote_reason == "action_exists"
    assert (await refused(engine.action(rule_id, "MNS", {}))).remote_reason == "action_type_unsupported"
    assert (await refused(engine.action(rule_id, "RDS", "{"))).remote_reason == "action_config_invalid"
    assert (await refused(engine.action(1, "REPUBLISH", BACK))).remote_reason == "rule_not_found"
    for number in range(9):
        await engine.action(rule_id, "REPUBLISH", {"topic": f"/{PRODUCT}/dn/user/{number}"})
    assert (await refused(engine.action(rule_id, "REPUBLISH", BACK))).remote_reason == "action_limit"
    delete = rule_pb2.DeleteActionRequest(action_id=action_id)
    await engine.stub.DeleteAction(delete)
    assert (await refused(engine.stub.DeleteAction(delete))).remote_reason == "action_not_found"


# -- messages ---------------------------------------------------------------------------------------------------------


@both
async def test_messages_become_rows_once_and_what_is_not_json_is_skipped(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    await make_table(surroundings, database, database_dsn)
    engine = await surroundings.start()
    rule_id = await engine.running("r", "RDS", ROWS, "n", where="n > 1 AND deviceName() = 'd1'")
    ids = await surroundings.publish([{"n": 1}, b"not json", {"n": 2}, {"n": 3}])
    await surroundings.publish([{"n": 4}], device="d2")
    await rows_are(database, [2, 3])
    [action] = (await engine.stub.ListActions(rule_pb2.ListActionsRequest(rule_id=rule_id))).actions
    stage = f"rule/{rule_id}/{action.action_id}"
    rows = await database.fetch("SELECT message_id, device FROM t ORDER BY n")
    assert [tuple(row) for row in rows] == [(derive(ids[2], stage), "d1"), (derive(ids[3], stage), "d1")]
    assert engine.count("evaluations_total", outcome="not_json") == 1


async def test_status_messages_reach_rules_of_topic_type_2(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    await make_table(surroundings, database, database_dsn)
    engine = await surroundings.start()
    where = "status = 'online'"
    await engine.running("r", "RDS", ROWS, "7 AS n", where=where, topic_type=2, short_topic="+")
    await surroundings.publish([{"status": "offline"}, {"status": "online"}], topic=f"/as/mqtt/status/{PRODUCT}/d1")
    await rows_are(database, [7])


@both
async def test_a_rule_starts_and_stops_in_every_process_within_seconds(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    await make_table(surroundings, database, database_dsn)
    first, second = await surroundings.start(), await surroundings.start()
    rule_id = await first.running("r", "RDS", ROWS, "n")
    await until(lambda: second.count("running_rules") == 1, "the rule runs in the other process", 5)
    for number in range(8):
        await surroundings.publish([{"n": number}], device=f"d{number}")
    await rows_are(database, list(range(8)))
    await first.stop(rule_id)
    await until(lambda: second.count("running_rules") == 0, "the rule stops in the other process", 5)


async def test_republish_reaches_the_device_and_the_rules_behind_and_stops_after_five_hops(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    await make_table(surroundings, database, database_dsn)
    engine = await surroundings.start()
    await engine.running("loop", "REPUBLISH", {"topic": f"/{PRODUCT}/d1/user/update"}, "n + 1 AS n")
    await engine.running("rows", "RDS", ROWS, "n")
    async with surroundings.read(bus_topics.DEVICE_CUSTOM) as found:
        [first] = await surroundings.publish([{"n": 0}])
        await until(lambda: len(found) == 6, "six records")
        messages = [records.decode_record(record.value).messages[0] for record in found]
    await rows_are(database, [0, 1, 2, 3, 4, 5])
    await until(lambda: engine.count("action_results_total", type="REPUBLISH", outcome="hop_limit") == 1, "hop limit")
    assert [message.payload for message in surroundings.gateway.downlinks] == [b'{"n":%d}' % n for n in range(1, 6)]
    assert {message.qos for message in surroundings.gateway.downlinks} == {1}
    assert [message.hops for message in messages] == [0, 1, 2, 3, 4, 5]
    assert {message.epoch for message in messages[1:]} == {0}
    assert len({message.id for message in messages}) == 6
    assert messages[0].id == first


async def test_republish_waits_for_a_gateway_that_is_away(surroundings: World) -> None:
    engine = await surroundings.start()
    surroundings.gateway.away = True
    rule_id = await engine.running("r", "REPUBLISH", BACK, "n")
    async with surroundings.read(bus_topics.DEVICE_CUSTOM) as found:
        await surroundings.publish([{"n": 1}])
        await until(lambda: engine.count("action_results_total", type="REPUBLISH", outcome="parked") >= 1, "parked")
        assert await engine.statuses(rule_id) == ["open"]
        surroundings.gateway.away = False
        await until(lambda: len(surroundings.gateway.downlinks) == 1, "delivered")
        await until(lambda: len(found) == 2, "the source and the one that was republished")
    assert surroundings.gateway.downlinks[0].topic == f"/{PRODUCT}/d1/user/get"


async def test_a_gateway_that_cannot_forward_is_asked_four_times(surroundings: World) -> None:
    engine = await surroundings.start()
    surroundings.gateway.outcome = gateway_pb2.OUTCOME_FAILED
    await engine.running("r", "REPUBLISH", BACK, "n")
    await surroundings.publish([{"n": 1}])
    await until(lambda: engine.count("action_results_total", type="REPUBLISH", outcome="dead_letter") == 1, "dead")
    assert len(surroundings.gateway.downlinks) == 4


async def test_a_stored_rule_that_cannot_run_is_reported_and_stops_no_other(
    surroundings: World, database: Database, database_dsn: str, postgres_dsn: str
) -> None:
    await make_table(surroundings, database, database_dsn)
    engine = await surroundings.start(reload_seconds=0.2)
    broken = (await engine.create("broken")).rule_id
    await engine.start(broken)
    await engine.running("good", "RDS", ROWS, "n")
    store = await asyncpg.connect(postgres_dsn, server_settings={"search_path": engine.settings.postgres_schema})
    await store.execute("UPDATE rules SET select_text = 'newer(x) AS y' WHERE rule_id = $1", broken)
    await store.close()
    await until(lambda: engine.count("broken_rules") == 1, "the broken rule is counted")
    assert engine.count("running_rules") == 1
    await surroundings.publish([{"n": 1}])
    await rows_are(database, [1])


# -- failures ---------------------------------------------------------------------------------------------------------


@both
async def test_a_refused_row_is_retried_then_dead_and_the_others_are_written(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    await make_table(surroundings, database, database_dsn)
    engine = await surroundings.start()
    rule_id = await engine.running("r", "RDS", ROWS, "n")
    ids = await surroundings.publish([{"n": 1}, {"n": 5000}, {"n": 2}])
    await rows_are(database, [1, 2])
    async with surroundings.read(bus_topics.RULE_DEADLETTER) as found:
        await until(lambda: len(found) == 1, "a dead letter")
        [dead] = retry_pb2.RetryRecord.FromString(found[0].value).actions
    assert (dead.rule_id, dead.message_id, dead.attempts, dead.body) == (rule_id, ids[1], 4, b'{"n":5000}')
    assert "t_n_check" in dead.last_error
    assert dead.first_failed_ms > 0
    outcomes = {
        o: engine.count("action_results_total", type="RDS", outcome=o) for o in ("done", "refused", "dead_letter")
    }
    assert outcomes == {"done": 2, "refused": 3, "dead_letter": 1}


async def test_a_row_that_is_refused_at_first_arrives_when_the_table_takes_it(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    await make_table(surroundings, database, database_dsn)
    engine = await surroundings.start()
    await engine.running("r", "RDS", ROWS, "n")
    await surroundings.publish([{"n": 5000}])
    await until(lambda: engine.count("action_results_total", type="RDS", outcome="refused") >= 1, "refused once")
    await database.execute("ALTER TABLE t DROP CONSTRAINT t_n_check")
    await rows_are(database, [5000])


async def lag(world: World) -> int:
    found = await world.bus.lag("rule-engine", [bus_topics.DEVICE_CUSTOM])
    return found[bus_topics.DEVICE_CUSTOM]


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_a_sink_that_is_gone_holds_no_offset_and_gets_everything_once_when_it_returns(
    surroundings: World, private_postgres: PostgresServer, how: str
) -> None:
    await surroundings.secret("db", private_postgres.dsn)
    engine = await surroundings.start()
    rule_id = await engine.running("r", "RDS", {**ROWS, "create": True, "columns": {"n": 0, "x": "${x}"}}, "x")
    await surroundings.publish([{"x": 0}])
    connection = await asyncpg.connect(private_postgres.dsn)

    async def rows() -> list[int]:
        return [int(row["x"]) for row in await connection.fetch("SELECT x FROM t ORDER BY x::int")]

    async def first() -> bool:
        return await rows() == [0]

    await until(first, "the first row")
    await connection.close()
    getattr(private_postgres, how)()
    for number in range(1, 41):
        await surroundings.publish([{"x": number * 10 + digit} for digit in range(10)], device=f"d{number}")

    async def read() -> bool:
        return await lag(surroundings) == 0

    await until(read, "offsets pass the sink that is gone", 15)

    async def noticed() -> bool:
        return await engine.statuses(rule_id) != ["ok"]

    await until(noticed, "the circuit opens", 5)
    assert engine.runtime.health.ready()
    await asyncio.sleep(1)
    private_postgres.start() if how == "kill" else private_postgres.resume()
    connection = await asyncpg.connect(private_postgres.dsn)

    async def all_there() -> bool:
        return await rows() == [0, *range(10, 410)]

    await until(all_there, "every row, once", 30)
    await connection.close()
    assert await engine.statuses(rule_id) == ["ok"]


async def test_a_frozen_sink_does_not_delay_the_other_actions(
    surroundings: World, private_postgres: PostgresServer, database: Database, database_dsn: str
) -> None:
    await make_table(surroundings, database, database_dsn)
    await surroundings.secret("frozen", private_postgres.dsn)
    engine = await surroundings.start(sink_seconds=30.0)
    rule_id = await engine.running("r", "RDS", ROWS, "n")
    await engine.action(rule_id, "RDS", {**ROWS, "dsn_ref": "frozen", "create": True})
    await surroundings.publish([{"n": 0}])
    await rows_are(database, [0])
    private_postgres.pause()
    began = time.monotonic()
    for number in range(1, 101):
        await surroundings.publish([{"n": number}], device=f"d{number % 7}")
    await rows_are(database, list(range(101)), 10)
    assert time.monotonic() - began < 5
    private_postgres.resume()


async def test_an_outage_of_the_rule_store_is_not_ready_and_rules_go_on(
    surroundings: World, private_postgres: PostgresServer, database: Database, database_dsn: str
) -> None:
    await make_table(surroundings, database, database_dsn)
    engine = await surroundings.start(postgres_dsn=private_postgres.dsn)
    rule_id = await engine.running("r", "RDS", ROWS, "n")
    await surroundings.publish([{"n": 1}])
    await rows_are(database, [1])
    private_postgres.kill()
    await until(lambda: not engine.runtime.health.ready(), "not ready")
    await surroundings.publish([{"n": 2}])
    await rows_are(database, [1, 2])
    with pytest.raises(Exception, match="away"):
        await engine.stop(rule_id)
    private_postgres.start()
    await until(engine.runtime.health.ready, "ready again")
    await engine.stop(rule_id)


async def test_what_waits_survives_a_restart_and_a_deleted_action_is_dropped(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    await make_table(surroundings, database, database_dsn)
    surroundings.gateway.away = True
    engine = await surroundings.start(outage_seconds=2.0)
    kept = await engine.running("kept", "REPUBLISH", BACK, "n")
    gone = await engine.running("gone", "REPUBLISH", {"topic": f"/{PRODUCT}/d9/user/get"}, "n")
    await surroundings.publish([{"n": 1}])
    await until(lambda: engine.count("action_results_total", type="REPUBLISH", outcome="parked") >= 2, "both wait")
    await engine.stop(kept)
    await engine.stop(gone)
    await engine.stub.DeleteRule(rule_pb2.DeleteRuleRequest(rule_id=gone))
    surroundings.gateway.away = False
    await until(lambda: engine.count("action_results_total", type="deleted", outcome="gone") == 1, "dropped")
    await until(lambda: len(surroundings.gateway.downlinks) == 1, "a stopped rule's outputs are still delivered")
    assert surroundings.gateway.downlinks[0].device.device_name == "d1"


async def test_a_sampled_message_is_traced_to_its_sink(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    await make_table(surroundings, database, database_dsn)
    engine: RuleEngine = await surroundings.start()
    await engine.running("r", "RDS", ROWS, "n")
    await surroundings.publish([{"n": 1}], traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    await rows_are(database, [1])
    tracing = engine.runtime.tracing
    await until(lambda: "rule-engine sink" in {span.name for span in tracing.finished()}, "the sink's span")
    spans = {span.name: span for span in tracing.finished()}
    evaluate, sink = spans["rule-engine evaluate"], spans["rule-engine sink"]
    assert evaluate.parent is not None
    assert sink.parent is not None
    assert f"{evaluate.parent.span_id:016x}" == "b" * 16
    assert evaluate.context is not None
    assert sink.parent.span_id == evaluate.context.span_id
