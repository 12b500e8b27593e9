"""Dead letters in PostgreSQL, beside the rules they are of."""

from collections.abc import Sequence

import asyncpg
import orjson

from thinghub.common.postgres import Postgres
from thinghub.rule_engine.domain.deadletters import DeadLetter, Death, Found, Selection
from thinghub.rule_engine.domain.outputs import Origin, Output, derived_id
from thinghub.rule_engine.errors import DeadLetterNotFound

_GIVEN = (
    ("dead_letter_id", "bigint"), ("rule_id", "bigint"), ("action_id", "bigint"), ("message_id", "bigint"),
    ("product_key", "text"), ("device_name", "text"), ("topic", "text"), ("received_ms", "bigint"), ("qos", "int"),
    ("hops", "int"), ("traceparent", "text"), ("body", "bytea"), ("payload", "bytea"), ("error", "text"),
    ("tries", "int"), ("first_failed_ms", "bigint"), ("died_ms", "bigint"), ("bus_partition", "int"),
    ("bus_offset", "bigint"),
)  # fmt: skip
_NAMES = ", ".join(name for name, _ in _GIVEN)
_ARRAYS = ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(_GIVEN, 1))

_KEEP = f"""
INSERT INTO dead_letters AS known ({_NAMES})
SELECT {", ".join(f"given.{name}" for name, _ in _GIVEN)}
FROM unnest({_ARRAYS}) AS given ({_NAMES}) JOIN rules USING (rule_id)
ON CONFLICT (dead_letter_id) DO UPDATE SET
    position = nextval('dead_letter_positions'), error = excluded.error, tries = known.tries + excluded.tries,
    died_ms = excluded.died_ms, redriven_ms = 0, bus_partition = excluded.bus_partition,
    bus_offset = excluded.bus_offset
WHERE known.bus_partition <> excluded.bus_partition OR known.bus_offset < excluded.bus_offset
"""

_TOLD = """
    d.dead_letter_id, d.position, d.rule_id, r.name AS rule_name, d.action_id, coalesce(a.type, '') AS action_type,
    d.message_id, d.product_key, d.device_name, d.topic, d.error, d.tries, d.received_ms, d.first_failed_ms, d.died_ms,
    d.redriven_ms, d.redriven_times, length(d.body) AS bytes
"""
_FROM = """
FROM dead_letters d JOIN rules r ON r.rule_id = d.rule_id LEFT JOIN actions a ON a.action_id = d.action_id
WHERE r.instance_id = $1
"""
_SELECTED = """
    AND ($2::bigint = 0 OR d.rule_id = $2) AND d.died_ms >= $3 AND ($4::bigint = 0 OR d.died_ms < $4)
    AND ($5::boolean OR d.redriven_ms = 0) AND ($6::bigint = 0 OR d.position < $6)
"""
_FOUND = """
    d.dead_letter_id, d.position, length(d.body) + length(d.payload) AS bytes, a.action_id IS NOT NULL AS alive
"""
_OUTPUTS = """
SELECT rule_id, action_id, message_id, product_key, device_name, topic, received_ms, qos, hops, traceparent, body,
    payload
FROM dead_letters WHERE dead_letter_id = ANY ($1::bigint[]) ORDER BY position
"""
_NOTE = """
UPDATE dead_letters SET redriven_ms = $3, redriven_times = redriven_times + 1
FROM unnest($1::bigint[], $2::bigint[]) AS taken (id, place) WHERE dead_letter_id = taken.id AND position = taken.place
"""
_SURPLUS = """
DELETE FROM dead_letters WHERE position <= (
    SELECT max(position) FROM (
        SELECT position, row_number() OVER newest AS number, sum(length(body) + length(payload)) OVER newest AS bytes
        FROM dead_letters WINDOW newest AS (ORDER BY position DESC)
    ) AS counted WHERE number > $1 OR bytes > $2
)
"""


class PostgresDeadLetters:
    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def keep(self, deaths: Sequence[Death]) -> None:
        latest = {derived_id(death.output): death for death in deaths}  # a statement touches a row once
        if not latest:
            return
        rows = [_row(id, death) for id, death in latest.items()]
        async with self._postgres.acquire() as connection:
            await connection.execute(_KEEP, *map(list, zip(*rows, strict=True)))

    async def page(self, selection: Selection, limit: int) -> list[DeadLetter]:
        query = f"SELECT {_TOLD} {_FROM} {_SELECTED} ORDER BY d.position DESC LIMIT $7"
        async with self._postgres.acquire() as connection:
            rows = await connection.fetch(query, *_selected(selection), limit)
        return [DeadLetter(**dict(row)) for row in rows]

    async def get(self, instance_id: str, dead_letter_id: int) -> tuple[DeadLetter, bytes]:
        query = f"SELECT {_TOLD}, d.body {_FROM} AND d.dead_letter_id = $2"
        async with self._postgres.acquire() as connection:
            row = await connection.fetchrow(query, instance_id, dead_letter_id)
        if row is None:
            raise DeadLetterNotFound(f"there is no dead letter {dead_letter_id}")
        told = dict(row)
        body = bytes(told.pop("body"))
        return DeadLetter(**told), body

    async def find(self, selection: Selection, limit: int) -> list[Found]:
        async with self._postgres.acquire() as connection:
            if selection.ids:
                query = (
                    f"SELECT {_FOUND} {_FROM} AND d.dead_letter_id = ANY ($2::bigint[]) ORDER BY d.position LIMIT $3"
                )
                rows = await connection.fetch(query, selection.instance_id, list(selection.ids), limit)
            else:
                query = f"SELECT {_FOUND} {_FROM} {_SELECTED} AND a.action_id IS NOT NULL ORDER BY d.position LIMIT $7"
                rows = await connection.fetch(query, *_selected(selection), limit)
        return [Found(**dict(row)) for row in rows]

    async def outputs(self, ids: Sequence[int]) -> list[Output]:
        async with self._postgres.acquire() as connection:
            rows = await connection.fetch(_OUTPUTS, list(ids))
        return [_output(row) for row in rows]

    async def note_redriven(self, found: Sequence[Found], now_ms: int) -> None:
        ids, places = [one.dead_letter_id for one in found], [one.position for one in found]
        async with self._postgres.acquire() as connection:
            await connection.execute(_NOTE, ids, places, now_ms)

    async def purge(self, before_ms: int, kept: int, kept_bytes: int) -> tuple[int, int]:
        async with self._postgres.acquire() as connection:
            old = await connection.execute("DELETE FROM dead_letters WHERE died_ms < $1", before_ms)
            surplus = await connection.execute(_SURPLUS, kept, kept_bytes)
        return _count(old), _count(surplus)


def _row(id: int, death: Death) -> tuple[object, ...]:
    output, origin = death.output, death.output.origin
    return (
        id,
        output.rule_id,
        output.action_id,
        origin.message_id,
        origin.product_key,
        origin.device_name,
        origin.topic,
        origin.received_ms,
        origin.qos,
        origin.hops,
        origin.traceparent,
        orjson.dumps(output.result),
        output.payload,
        output.last_error,
        output.attempts,
        output.first_failed_ms,
        death.died_ms,
        death.partition,
        death.offset,
    )


def _selected(one: Selection) -> tuple[object, ...]:
    return one.instance_id, one.rule_id, one.from_ms, one.until_ms, one.redriven, one.before


def _output(row: asyncpg.Record) -> Output:
    origin = Origin(
        row["message_id"],
        row["product_key"],
        row["device_name"],
        row["topic"],
        row["received_ms"],
        row["qos"],
        row["hops"],
        row["traceparent"],
    )
    return Output(row["rule_id"], row["action_id"], origin, orjson.loads(row["body"]), payload=bytes(row["payload"]))


def _count(status: str) -> int:
    """`DELETE 3`."""
    return int(status.rpartition(" ")[2])
