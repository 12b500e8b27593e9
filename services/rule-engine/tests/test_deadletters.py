"""Dead letters: kept from the bus, looked at page by page, put back and done once; on both buses."""

import asyncpg
import pytest

from tests.support.rule_engine_service import PRODUCT, RuleEngine, World, until
from thinghub.common.errors import RemoteFault
from thinghub.common.rpc import channel
from thinghub.device_protocol.message_ids import derive
from thinghubpb.rule.v1 import deadletters_pb2 as pb
from thinghubpb.rule.v1 import rule_pb2
from thinghubpb.rule.v1.deadletters_pb2_grpc import DeadLetterServiceStub

both = pytest.mark.parametrize("bus_url", ["streams", "kafka"], indirect=True)
Database = asyncpg.Connection

ROWS = {"dsn_ref": "db", "table": "t", "columns": {"n": "${n}"}}


class Letters:
    """A client to the dead letters of a running rule engine."""

    def __init__(self, engine: RuleEngine) -> None:
        self._target = engine.settings.rpc_listen

    async def page(self, **given: object) -> list[pb.DeadLetter]:
        async with channel(self._target) as client:
            request = pb.ListDeadLettersRequest(**{"limit": 200, **given})  # type: ignore[arg-type]
            return list((await DeadLetterServiceStub(client).ListDeadLetters(request)).letters)

    async def get(self, id: int, instance_id: str = "") -> pb.GetDeadLetterResponse:
        async with channel(self._target) as client:
            request = pb.GetDeadLetterRequest(instance_id=instance_id, dead_letter_id=id)
            return await DeadLetterServiceStub(client).GetDeadLetter(request)

    async def redrive(self, **given: object) -> tuple[int, int, bool]:
        async with channel(self._target) as client:
            request = pb.RedriveDeadLettersRequest(**{"limit": 1000, **given})  # type: ignore[arg-type]
            done = await DeadLetterServiceStub(client).RedriveDeadLetters(request)
        return done.redriven, done.gone, done.more

    async def until_waiting(self, count: int) -> list[pb.DeadLetter]:
        async def there() -> bool:
            return len(await self.page()) == count

        await until(there, f"{count} dead letters wait")
        return await self.page()


async def refusing_table(world: World, database: "Database[asyncpg.Record]", dsn: str) -> None:
    await database.execute("CREATE TABLE t (n int CONSTRAINT small CHECK (n < 1000), message_id bigint UNIQUE)")
    await world.secret("db", dsn)


async def numbers(database: "Database[asyncpg.Record]") -> list[int]:
    return [row["n"] for row in await database.fetch("SELECT n FROM t ORDER BY n")]


@both
async def test_what_a_sink_refused_is_found_mended_and_redriven_once(
    surroundings: World, database: "Database[asyncpg.Record]", database_dsn: str
) -> None:
    await refusing_table(surroundings, database, database_dsn)
    engine = await surroundings.start()
    rule_id = await engine.running("r", "RDS", ROWS, "n")
    ids = await surroundings.publish([{"n": 5000}, {"n": 1}, {"n": 6000}])
    letters = Letters(engine)
    found = await letters.until_waiting(2)
    [action] = (await engine.stub.ListActions(rule_pb2.ListActionsRequest(rule_id=rule_id))).actions
    derived = [derive(one, f"rule/{rule_id}/{action.action_id}") for one in (ids[0], ids[2])]
    assert {one.dead_letter_id for one in found} == set(derived)
    one = next(one for one in found if one.dead_letter_id == derived[0])
    assert (one.rule_name, one.action_type, one.message_id, one.tries) == ("r", "RDS", ids[0], 4)
    assert (one.product_key, one.device_name, one.topic) == (PRODUCT, "d1", f"/{PRODUCT}/d1/user/update")
    assert "small" in one.error
    assert one.first_failed_ms <= one.died_ms
    assert (await letters.get(derived[0])).result == b'{"n":5000}'

    await database.execute("ALTER TABLE t DROP CONSTRAINT small")
    assert await letters.redrive(rule_id=rule_id) == (2, 0, False)
    assert await letters.redrive(dead_letter_ids=derived) == (2, 0, False)

    async def written() -> bool:
        return await numbers(database) == [1, 5000, 6000]

    await until(written, "both rows, once")
    assert [
        row["message_id"] for row in await database.fetch("SELECT message_id FROM t WHERE n > 1 ORDER BY n")
    ] == derived
    assert await letters.page() == []
    noted = await letters.page(redriven=True)
    assert {(one.redriven_times, one.redriven_ms >= one.died_ms) for one in noted} == {(2, True)}
    await until(lambda: engine.count("action_results_total", type="RDS", outcome="done") == 5, "each was done again")
    assert await numbers(database) == [1, 5000, 6000]


async def test_what_dies_again_waits_again_with_all_its_tries(
    surroundings: World, database: "Database[asyncpg.Record]", database_dsn: str
) -> None:
    await refusing_table(surroundings, database, database_dsn)
    engine = await surroundings.start()
    await engine.running("r", "RDS", ROWS, "n")
    await surroundings.publish([{"n": 5000}])
    letters = Letters(engine)
    [first] = await letters.until_waiting(1)
    assert await letters.redrive(dead_letter_ids=[first.dead_letter_id]) == (1, 0, False)

    async def died_again() -> bool:
        return any(one.tries == 8 for one in await letters.page())

    await until(died_again, "a second death")
    [second] = await letters.page()
    assert (second.dead_letter_id, second.redriven_ms, second.redriven_times) == (first.dead_letter_id, 0, 1)
    assert second.position > first.position
    assert second.first_failed_ms == first.first_failed_ms


async def test_pages_times_and_limits_bound_what_is_listed_and_redriven(
    surroundings: World, database: "Database[asyncpg.Record]", database_dsn: str
) -> None:
    await refusing_table(surroundings, database, database_dsn)
    engine = await surroundings.start()
    rule_id = await engine.running("r", "RDS", ROWS, "n")
    await surroundings.publish([{"n": 5000 + number} for number in range(5)])
    letters = Letters(engine)
    all_of_them = await letters.until_waiting(5)
    positions = [one.position for one in all_of_them]
    assert positions == sorted(positions, reverse=True)
    first = await letters.page(limit=2)
    rest = await letters.page(limit=200, before=first[-1].position)
    assert [*first, *rest] == all_of_them
    died = [one.died_ms for one in all_of_them]
    assert await letters.page(from_ms=max(died) + 1) == []
    assert len(await letters.page(from_ms=min(died), until_ms=max(died) + 1)) == 5
    assert await letters.page(until_ms=min(died)) == []
    assert await letters.page(rule_id=rule_id + 1) == []
    assert await letters.page(instance_id="other") == []
    for wrong in (letters.page(limit=201), letters.redrive(rule_id=rule_id, limit=1001)):
        with pytest.raises(RemoteFault) as refused:
            await wrong
        assert refused.value.remote_reason == "page_invalid"
    with pytest.raises(RemoteFault) as unbounded:
        await letters.redrive()
    assert unbounded.value.remote_reason == "dead_letters_unbounded"
    assert await letters.redrive(instance_id="other", dead_letter_ids=[all_of_them[0].dead_letter_id]) == (0, 0, False)
    assert await letters.redrive(from_ms=min(died), limit=2) == (2, 0, True)
    waiting = [one.dead_letter_id for one in await letters.page()]
    assert waiting == [one.dead_letter_id for one in all_of_them[:3]]  # the oldest went first


async def test_those_of_a_deleted_action_are_told_as_gone_and_those_of_a_deleted_rule_go(
    surroundings: World, database: "Database[asyncpg.Record]", database_dsn: str
) -> None:
    await refusing_table(surroundings, database, database_dsn)
    engine = await surroundings.start()
    rule_id = await engine.running("r", "RDS", ROWS, "n")
    await surroundings.publish([{"n": 5000}])
    letters = Letters(engine)
    [one] = await letters.until_waiting(1)
    await engine.stub.DeleteAction(rule_pb2.DeleteActionRequest(action_id=one.action_id))
    assert (await letters.page())[0].action_type == ""
    assert await letters.redrive(dead_letter_ids=[one.dead_letter_id]) == (0, 1, False)
    assert await letters.redrive(rule_id=rule_id) == (0, 0, False)
    await engine.stop(rule_id)
    await engine.stub.DeleteRule(rule_pb2.DeleteRuleRequest(rule_id=rule_id))
    with pytest.raises(RemoteFault) as gone:
        await letters.get(one.dead_letter_id)
    assert gone.value.remote_reason == "dead_letter_not_found"


async def test_the_oldest_beyond_the_bound_are_removed(
    surroundings: World, database: "Database[asyncpg.Record]", database_dsn: str
) -> None:
    await refusing_table(surroundings, database, database_dsn)
    engine = await surroundings.start()
    await engine.running("r", "RDS", ROWS, "n")
    await surroundings.publish([{"n": 5000 + number} for number in range(4)])
    before = await Letters(engine).until_waiting(4)
    bounded = await surroundings.start(dead_letters_kept=3)
    assert await Letters(bounded).until_waiting(3) == before[:3]
