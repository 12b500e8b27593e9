"""Rows in a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import asyncpg
import orjson
import pytest

from tests.support.servers import PostgresServer
from thinghub.common.errors import Fault
from thinghub.device_protocol.message_ids import MessageIds, derive
from thinghub.rule_engine.adapters.sinks.rds import RdsSink, RdsSinks
from thinghub.rule_engine.adapters.sinks.rds_pools import Databases
from thinghub.rule_engine.domain.configurations import Rds, parse_configuration
from thinghub.rule_engine.domain.outputs import Output, derived_id
from thinghub.rule_engine.domain.sql.kinds import field_kinds
from thinghub.rule_engine.ports.secrets import Secret
from thinghub.rule_engine.ports.sinks import SinkDown

Database = Any  # asyncpg names its connection class in stubs only
TWO = {"n": "${n}", "m": 1}
Outputs = Callable[..., Output]


class Secrets(Protocol):
    secrets: dict[str, Secret]
    away: bool
    asked: int

    async def resolve(self, instance_id: str, name: str) -> Secret | None: ...


def rds(**members: object) -> Rds:
    given = {"dsn_ref": "db", "table": "t", "columns": {"n": "${n}"}, **members}
    found = parse_configuration("RDS", orjson.dumps(given).decode())
    assert isinstance(found, Rds)
    return found


@pytest.fixture
async def sinks(secrets: Secrets, database: Database, database_dsn: str) -> AsyncIterator[RdsSinks]:
    secrets.secrets["db"] = Secret(database_dsn, 1)
    databases = Databases(secrets, 3)
    yield RdsSinks(databases)
    await databases.close()


async def refusal(sinks: RdsSinks, configuration: Rds) -> Fault:
    with pytest.raises(Fault) as error:
        await sinks.check("", configuration, {})
    return error.value


# -- at creation ------------------------------------------------------------------------------------------------------


async def test_a_secret_that_does_not_exist_is_refused(sinks: RdsSinks) -> None:
    error = await refusal(sinks, rds(dsn_ref="other"))
    assert (error.reason, error.details["position"]) == ("secret_not_found", "dsn_ref")


async def test_a_secret_that_is_no_postgresql_address_is_refused_without_showing_it(
    sinks: RdsSinks, secrets: Secrets
) -> None:
    secrets.secrets["db"] = Secret("mysql://root:hidden@h/d", 1)
    error = await refusal(sinks, rds())
    assert error.reason == "action_config_invalid"
    assert "hidden" not in error.message


async def test_a_database_that_is_away_is_refused(sinks: RdsSinks, secrets: Secrets) -> None:
    secrets.secrets["db"] = Secret("postgresql://u:hidden@127.0.0.1:1/d", 1)
    error = await refusal(sinks, rds())
    assert error.reason == "sink_unreachable"
    assert "hidden" not in error.message


async def test_auth_that_is_away_is_unavailable(sinks: RdsSinks, secrets: Secrets) -> None:
    secrets.away = True
    assert (await refusal(sinks, rds())).reason == "unavailable"


async def test_a_missing_table_is_refused_with_the_ddl(sinks: RdsSinks, database: Database) -> None:
    error = await refusal(sinks, rds(table="no table"))
    assert (error.reason, error.details["position"]) == ("table_not_found", "table")
    await database.execute(error.details["ddl"])
    await sinks.check("", rds(table="no table"), {})


async def test_a_missing_column_is_refused_by_name(sinks: RdsSinks, database: Database) -> None:
    await database.execute("CREATE TABLE t (message_id bigint UNIQUE)")
    error = await refusal(sinks, rds())
    assert (error.reason, error.details["position"]) == ("action_config_invalid", "columns.n")


@pytest.mark.parametrize(
    ("table", "members"),
    [
        ("(n int)", {}),
        ("(n int, message_id bigint)", {}),
        ("(n int, message_id bigint, UNIQUE (message_id, n))", {}),
        ('(n int, "the id" numeric)', {"id_column": "the id"}),
        ("(n int, message_id bigint UNIQUE)", {"mode": "upsert", "keys": ["n"]}),
        ("(n int UNIQUE)", {"mode": "upsert", "keys": ["n"]}),
        (
            "(n int, m int UNIQUE)",
            {"mode": "upsert", "keys": ["n", "m"], "columns": {"n": "${n}", "m": 1}, "id_column": None},
        ),
    ],
)
async def test_a_missing_unique_is_refused_with_the_ddl_that_adds_it(
    sinks: RdsSinks, database: Database, table: str, members: dict[str, object]
) -> None:
    await database.execute(f"CREATE TABLE t {table}")
    error = await refusal(sinks, rds(**members))
    assert error.reason == "table_unique_missing"
    assert error.details["ddl"] in error.message
    await database.execute(error.details["ddl"])
    await sinks.check("", rds(**members), {})


async def test_a_partial_unique_index_does_not_count(sinks: RdsSinks, database: Database) -> None:
    await database.execute("CREATE TABLE t (n int, message_id bigint)")
    await database.execute("CREATE UNIQUE INDEX ON t (message_id) WHERE n > 0")
    assert (await refusal(sinks, rds())).reason == "table_unique_missing"


async def test_without_an_id_column_no_unique_is_asked_for(sinks: RdsSinks, database: Database) -> None:
    await database.execute("CREATE TABLE t (n int)")
    await sinks.check("", rds(id_column=None), {})


async def test_an_id_column_that_cannot_hold_the_id_is_refused(sinks: RdsSinks, database: Database) -> None:
    await database.execute("CREATE TABLE t (n int, message_id int UNIQUE)")
    assert (await refusal(sinks, rds())).details["position"] == "id_column"


async def test_create_makes_the_table_that_takes_the_rows(sinks: RdsSinks, database: Database, output: Outputs) -> None:
    references = {name: f"${{{name}}}" for name in ("n", "d", "at", "hot", "productKey")}
    columns = {**references, "mixed": "a ${n}", "five": 5, "yes": True}
    configuration = rds(columns=columns, create=True, table="public.made")
    fields = field_kinds("n, deviceName() AS d, timestamp() AS at, n > 5 AS hot")
    await sinks.check("", configuration, fields)
    await sinks.check("", configuration, fields)
    item = output(1, n={"deep": [1]}, d="dev1", at=17, hot=False)
    assert await sinks.open("", configuration).deliver([item]) == [None]
    row = await database.fetchrow("SELECT * FROM made")
    assert dict(row) == {
        "n": '{"deep": [1]}',
        "d": "dev1",
        "at": 17,
        "hot": False,
        "productKey": "pk",
        "mixed": 'a {"deep":[1]}',
        "five": 5,
        "yes": True,
        "message_id": derived_id(item),
    }


async def test_create_makes_keys_of_an_upsert(sinks: RdsSinks, database: Database, output: Outputs) -> None:
    configuration = rds(columns={"d": "${deviceName}", "n": "${n}"}, mode="upsert", keys=["d"], create=True)
    await sinks.check("", configuration, {})
    await sinks.open("", configuration).deliver([output(1, n=1), output(2, n=2)])
    assert [tuple(row) for row in await database.fetch("SELECT d, n FROM t")] == [("dev1", "2")]


# -- rows -------------------------------------------------------------------------------------------------------------


async def test_a_batch_is_written_once_however_often_it_comes(
    sinks: RdsSinks, database: Database, output: Outputs
) -> None:
    await database.execute("CREATE TABLE t (n int, message_id bigint UNIQUE)")
    sink, batch = sinks.open("", rds()), [output(number, n=number) for number in range(1, 501)]
    assert await sink.deliver(batch) == [None] * 500
    assert await sink.deliver(batch + batch) == [None] * 1000
    rows = await database.fetch("SELECT n, message_id FROM t ORDER BY n")
    assert [tuple(row) for row in rows] == [(index + 1, derived_id(item)) for index, item in enumerate(batch)]


async def test_values_take_their_columns_types(sinks: RdsSinks, database: Database, output: Outputs) -> None:
    columns = {
        "whole": "int",
        "f": "double precision",
        "dec": "numeric(6,2)",
        "b": "boolean",
        "txt": "varchar(20)",
        "fixed": "char(4)",
        "j": "jsonb",
        "at": "timestamptz",
        "day": "date",
        "nothing": "int",
    }
    listed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    await database.execute(f'CREATE SCHEMA "odd ""s"; CREATE TABLE "odd ""s"."T" ({listed}, message_id bigint UNIQUE)')
    configuration = rds(table='odd "s.T', columns={name: f"${{{name}}}" for name in columns})
    await sinks.check("", configuration, {})
    values = output(
        1,
        whole=7.0,
        f=0.1,
        dec=12.5,
        b=True,
        txt="it's 温",
        fixed="ab",
        j=["x", None],
        at=1_700_000_000_123,
        day="2024-02-29",
    )
    assert await sinks.open("", configuration).deliver([values]) == [None]
    row = await database.fetchrow('SELECT *, extract(epoch from at) AS epoch FROM "odd ""s"."T"')
    assert row is not None
    shown = [row[name] for name in ("whole", "f", "b", "txt", "fixed", "j", "nothing")]
    assert shown == [7, 0.1, True, "it's 温", "ab  ", '["x", null]', None]
    assert (float(row["epoch"]), str(row["day"]), str(row["dec"])) == (1_700_000_000.123, "2024-02-29", "12.50")


async def test_a_bad_row_does_not_hold_up_the_others(sinks: RdsSinks, database: Database, output: Outputs) -> None:
    await database.execute("CREATE TABLE t (n int CHECK (n <> 1300), message_id bigint UNIQUE)")
    bad: dict[int, object] = {3: "text", 14: 1300, 77: 2**40, 200: {"x": 1}, 299: "\0"}
    answers = await sinks.open("", rds()).deliver([output(number, n=bad.get(number, number)) for number in range(300)])
    assert {index for index, why in enumerate(answers) if why} == set(bad)
    assert "22P02" in str(answers[3])
    assert "23514" in str(answers[14])
    assert await database.fetchval("SELECT count(*) FROM t") == 295


async def test_text_longer_than_its_column_is_refused_not_cut(
    sinks: RdsSinks, database: Database, output: Outputs
) -> None:
    await database.execute("CREATE TABLE t (n varchar(3), message_id bigint UNIQUE)")
    [why] = await sinks.open("", rds()).deliver([output(1, n="long")])
    assert "too long" in str(why)


async def test_upsert_keeps_the_newest_whatever_the_order_of_arrival(
    sinks: RdsSinks, database: Database, output: Outputs
) -> None:
    await database.execute("CREATE TABLE t (d text, n int, message_id bigint, UNIQUE (d))")
    sink = sinks.open("", rds(columns={"d": "${deviceName}", "n": "${n}"}, mode="upsert", keys=["d"]))
    ids = MessageIds(1, lambda: 1_700_000_000_000)
    items = [output(ids.next(), n=number) for number in range(10)]
    assert await sink.deliver([items[4], items[2], items[3]]) == [None] * 3
    assert await database.fetchval("SELECT n FROM t") == 4
    await sink.deliver([items[1]])
    assert await database.fetchval("SELECT n FROM t") == 4
    await sink.deliver([items[9], items[8]])
    await sink.deliver([items[9]])
    assert await database.fetchval("SELECT n FROM t") == 9


async def test_upsert_is_fenced_by_time_for_messages_that_rules_made(
    sinks: RdsSinks, database: Database, output: Outputs
) -> None:
    await database.execute("CREATE TABLE t (d text UNIQUE, n int, message_id bigint)")
    sink = sinks.open("", rds(columns={"d": "${deviceName}", "n": "${n}"}, mode="upsert", keys=["d"]))
    for number, later in [(1, 0), (3, 2), (2, 1)]:
        item = output(derive(number, "rule"), n=number)
        await sink.deliver([item._replace(origin=item.origin._replace(received_ms=item.origin.received_ms + later))])
    assert await database.fetchval("SELECT n FROM t") == 3


async def test_upsert_of_a_batch_with_a_bad_row_writes_the_others(
    sinks: RdsSinks, database: Database, output: Outputs
) -> None:
    await database.execute("CREATE TABLE t (d text UNIQUE, n int)")
    sink = sinks.open("", rds(columns={"d": "${d}", "n": "${n}"}, mode="upsert", keys=["d"], id_column=None))
    answers = await sink.deliver(
        [output(1, d="a", n=1), output(2, d="b", n="x"), output(3, d="a", n=3), output(4, d=None)]
    )
    assert [why is None for why in answers] == [True, False, True, True]
    assert {row["d"]: row["n"] for row in await database.fetch("SELECT d, n FROM t")} == {"a": 3, None: None}


async def test_two_writers_of_the_same_rows_do_not_deadlock(
    sinks: RdsSinks, database: Database, output: Outputs
) -> None:
    await database.execute("CREATE TABLE t (d int UNIQUE, n int)")
    configuration = rds(columns={"d": "${d}", "n": "${n}"}, mode="upsert", keys=["d"], id_column=None)
    batches = [[output(1, d=d, n=n) for d in sorted(range(300), reverse=bool(n % 2))] for n in range(6)]
    answers = await asyncio.gather(*(sinks.open("", configuration).deliver(batch) for batch in batches))
    assert all(why is None for batch in answers for why in batch)


# -- a sink that is not there -----------------------------------------------------------------------------------------


async def test_a_dropped_table_is_the_sinks_state_not_the_rows_fault(
    sinks: RdsSinks, database: Database, output: Outputs
) -> None:
    await database.execute("CREATE TABLE t (n int, message_id bigint UNIQUE)")
    sink = sinks.open("", rds())
    await sink.deliver([output(1, n=1)])
    await database.execute("DROP TABLE t")
    with pytest.raises(SinkDown, match="does not exist"):
        await sink.deliver([output(2, n=2)])
    await database.execute("CREATE TABLE t (n int, message_id bigint UNIQUE)")
    assert await sink.deliver([output(2, n=2)]) == [None]


async def test_a_changed_secret_is_followed_after_a_failure(
    sinks: RdsSinks, secrets: Secrets, database: Database, database_dsn: str, output: Outputs
) -> None:
    await database.execute("CREATE TABLE t (n int, message_id bigint UNIQUE)")
    secrets.secrets["db"] = Secret("postgresql://127.0.0.1:1/nowhere", 1)
    sink = sinks.open("", rds())
    with pytest.raises(SinkDown, match="no connection"):
        await sink.deliver([output(1, n=1)])
    secrets.secrets["db"] = Secret(database_dsn, 2)
    assert await sink.deliver([output(1, n=1)]) == [None]


async def test_auth_that_is_away_does_not_stop_a_sink_that_works(
    sinks: RdsSinks, secrets: Secrets, database: Database, output: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thinghub.rule_engine.adapters.sinks.rds_pools.SECRET_SECONDS", 0)
    await database.execute("CREATE TABLE t (n int, message_id bigint UNIQUE)")
    sink = sinks.open("", rds())
    await sink.deliver([output(1, n=1)])
    secrets.away = True
    assert await sink.deliver([output(2, n=2)]) == [None]


async def test_a_deleted_secret_takes_the_sink_down(sinks: RdsSinks, secrets: Secrets, output: Outputs) -> None:
    sink = sinks.open("", rds())
    del secrets.secrets["db"]
    with pytest.raises(SinkDown, match="no secret"):
        await sink.deliver([output(1, n=1)])


async def test_a_killed_server_is_down_and_works_again_when_it_returns(
    secrets: Secrets, private_postgres: PostgresServer, output: Outputs
) -> None:
    secrets.secrets["db"] = Secret(private_postgres.dsn, 1)
    databases = Databases(secrets, 3)
    sinks = RdsSinks(databases)
    await sinks.check("", rds(create=True), {})
    sink: RdsSink = sinks.open("", rds())
    assert await sink.deliver([output(1, n=1)]) == [None]
    private_postgres.kill()
    with pytest.raises(SinkDown):
        await sink.deliver([output(2, n=2)])
    private_postgres.start()
    assert await sink.deliver([output(1, n=1), output(2, n=2)]) == [None, None]
    await databases.close()
    connection = await asyncpg.connect(private_postgres.dsn)
    assert await connection.fetchval("SELECT count(*) FROM t") == 2
    await connection.close()


async def test_a_frozen_server_is_down_within_the_deadline(
    secrets: Secrets, private_postgres: PostgresServer, output: Outputs
) -> None:
    secrets.secrets["db"] = Secret(private_postgres.dsn, 1)
    databases = Databases(secrets, 1)
    sinks = RdsSinks(databases)
    await sinks.check("", rds(create=True), {})
    sink = sinks.open("", rds())
    await sink.deliver([output(1, n=1)])
    private_postgres.pause()
    started = time.monotonic()
    for _ in range(2):
        with pytest.raises(SinkDown, match="in time"):
            await sink.deliver([output(2, n=2)])
    assert time.monotonic() - started < 5
    private_postgres.resume()
    assert await sink.deliver([output(2, n=2)]) == [None]
    await databases.close()
