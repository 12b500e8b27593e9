"""The error action: told once of what the other actions of its rule could not do."""

import asyncio
import base64
import json
from typing import Any

import pytest

from tests.support.rule_engine_service import PRODUCT, RuleEngine, World, until
from thinghub.common.errors import RemoteFault
from thinghub.device_protocol import bus_topics
from thinghub.rule_engine.domain.failures import failure_of
from thinghub.rule_engine.domain.outputs import Origin, Output, derived_id
from thinghubpb.gateway.v1 import gateway_pb2
from thinghubpb.rule.v1 import rule_pb2

Database = Any  # asyncpg names its connection class in stubs only
both = pytest.mark.parametrize("bus_url", ["streams", "kafka"], indirect=True)

ROWS = {"dsn_ref": "db", "table": "t", "columns": {"n": "${n}", "device": "${deviceName}"}}
TOLD = {"topic": f"/{PRODUCT}/ops/user/errors", "topicType": 1}


def count(engine: RuleEngine, type: str, outcome: str) -> float:
    return engine.count("action_results_total", type=type, outcome=outcome)


async def table(world: World, database: Database, dsn: str) -> None:
    await database.execute("CREATE TABLE t (n int CHECK (n < 1000), device text, message_id bigint UNIQUE)")
    await world.secret("db", dsn)


@both
async def test_a_row_refused_for_the_last_time_is_told_with_its_message(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    await table(surroundings, database, database_dsn)
    engine = await surroundings.start()
    rule = await engine.create("rows", "n, 1 AS other")
    await engine.action(rule.rule_id, "RDS", ROWS)
    await engine.action(rule.rule_id, "REPUBLISH", TOLD, error_action=True)
    await engine.start(rule.rule_id)
    payload = b'{"n": 5000, "more": "\xc3\xa9"}'
    [_, bad] = await surroundings.publish([{"n": 1}, payload])
    await until(lambda: len(surroundings.gateway.downlinks) == 1, "the error action is told")
    [told] = surroundings.gateway.downlinks
    body = json.loads(told.payload)
    [failure] = body.pop("failures")
    assert told.topic == TOLD["topic"]
    assert body == {
        "ruleName": "rows",
        "topic": f"/{PRODUCT}/d1/user/update",
        "productKey": PRODUCT,
        "deviceName": "d1",
        "messageId": str(bad),
        "base64OriginalPayload": base64.b64encode(payload).decode(),
    }
    assert (failure["actionType"], failure["actionRegion"], failure["actionResource"]) == ("RDS", "", "t")
    assert "t_n_check" in failure["errorMessage"]
    async with surroundings.read(bus_topics.RULE_DEADLETTER) as found:
        await until(lambda: len(found) == 1, "it is a dead letter as well")
    await asyncio.sleep(0.5)
    assert len(surroundings.gateway.downlinks) == 1
    assert (count(engine, "RDS", "error_action"), count(engine, "REPUBLISH", "done")) == (1, 1)


async def test_an_error_action_that_fails_is_not_tried_again(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    await table(surroundings, database, database_dsn)
    surroundings.gateway.outcome = gateway_pb2.OUTCOME_FAILED
    engine = await surroundings.start()
    rule_id = await engine.running("rows", "RDS", ROWS, "n")
    await engine.action(rule_id, "REPUBLISH", TOLD, error_action=True)
    await surroundings.publish([{"n": 5000}])
    await until(lambda: count(engine, "REPUBLISH", "dropped") == 1, "dropped")
    surroundings.gateway.away = True
    await surroundings.publish([{"n": 5001}])
    await until(lambda: count(engine, "REPUBLISH", "dropped") == 2, "dropped as well")
    surroundings.gateway.away, surroundings.gateway.outcome = False, gateway_pb2.OUTCOME_SENT
    await asyncio.sleep(1)
    assert len(surroundings.gateway.downlinks) == 1
    assert count(engine, "REPUBLISH", "parked") == 0
    assert count(engine, "RDS", "dead_letter") == 2


async def test_a_rule_has_one_error_action_of_any_type_and_shows_it(
    surroundings: World, database: Database, database_dsn: str
) -> None:
    await surroundings.secret("db", database_dsn)
    engine = await surroundings.start()
    rule_id = (await engine.create("r", "n")).rule_id
    columns = {"device": "${deviceName}", "why": "${failures}", "payload": "${base64OriginalPayload}"}
    errors = {"dsn_ref": "db", "table": "errors", "columns": columns, "create": True}
    error_id = await engine.action(rule_id, "RDS", errors, error_action=True)
    types = await database.fetch(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'errors'"
    )
    assert {(row[0], row[1]) for row in types} >= {("why", "jsonb"), ("device", "text"), ("payload", "text")}
    with pytest.raises(RemoteFault) as refusal:
        await engine.action(rule_id, "REPUBLISH", TOLD, error_action=True)
    assert refusal.value.remote_reason == "error_action_exists"
    await engine.action(rule_id, "RDS", errors)
    listed = (await engine.stub.ListActions(rule_pb2.ListActionsRequest(rule_id=rule_id))).actions
    assert [(action.error_action, action.status) for action in listed] == [(True, "ok"), (False, "ok")]
    await engine.stub.DeleteAction(rule_pb2.DeleteActionRequest(action_id=error_id))
    await engine.action(rule_id, "REPUBLISH", TOLD, error_action=True)


async def test_what_waits_for_a_sink_that_is_away_has_not_failed(surroundings: World) -> None:
    engine = await surroundings.start()
    surroundings.gateway.away = True
    rule_id = await engine.running("r", "REPUBLISH", {"topic": f"/{PRODUCT}/d2/user/get"}, "n")
    await engine.action(rule_id, "REPUBLISH", TOLD, error_action=True)
    await surroundings.publish([{"n": 1}])
    await until(lambda: count(engine, "REPUBLISH", "parked") >= 2, "waits")
    surroundings.gateway.away = False
    await until(lambda: len(surroundings.gateway.downlinks) == 1, "delivered")
    assert surroundings.gateway.downlinks[0].device.device_name == "d2"
    assert count(engine, "REPUBLISH", "error_action") == 0


def test_failures_of_two_actions_on_one_message_have_ids_of_their_own() -> None:
    failed = [
        Output(1, action_id, Origin(9, "pk", "dn", "/pk/dn/user/a", 5), {"n": 1}, 4, 1, "why", b"{}")
        for action_id in (2, 3)
    ]
    told = [failure_of(output, 7, "rule", "RDS", "t") for output in failed]
    assert {output.action_id for output in told} == {7}
    assert len({derived_id(output) for output in (*failed, *told)}) == 4
    assert told[0].attempts == 0
