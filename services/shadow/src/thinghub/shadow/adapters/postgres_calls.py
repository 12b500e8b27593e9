"""The record of calls in PostgreSQL, in the history's partitions (`postgres_history`)."""

from collections.abc import Iterable, Sequence
from typing import Final

from thinghub.shadow.adapters.postgres_history import DAY_MS, READ_S, WRITE_S, PostgresHistory
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.thing_calls import AnswerRow, CallRow
from thinghub.shadow.ports.things import Span

# A call waits in a persistent session for at most seven days.
ANSWER_DAYS: Final = 8

_BEGIN = """
INSERT INTO service_call (product_key, device_name, received_ms, message_id, identifier, name, input)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[])
ON CONFLICT DO NOTHING
"""
# The newest call of that id: should Redis have lost the count, an older one has it too. $7 and $8 spare the partitions
# that no answer here can belong to; `+ 0` keeps the planner from walking a device's calls by time to find the newest.
_ANSWERED = """
UPDATE service_call c SET replied_ms = a.at, code = a.code, output = a.output
FROM (
    SELECT n.*, s.received_ms
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::integer[], $9::text[])
        AS n (pk, dn, id, service, at, code, output),
    LATERAL (
        SELECT max(received_ms + 0) AS received_ms FROM service_call
        WHERE product_key = n.pk AND device_name = n.dn AND message_id = n.id AND identifier = n.service
            AND received_ms BETWEEN $7 AND $8
    ) s
) a
WHERE c.product_key = a.pk AND c.device_name = a.dn AND c.message_id = a.id AND c.received_ms = a.received_ms
    AND c.received_ms BETWEEN $7 AND $8 AND c.replied_ms IS NULL
"""
_LIST = """
SELECT product_key, device_name, received_ms, message_id, identifier, name, input, output FROM service_call
WHERE product_key = $1 AND device_name = $2 AND received_ms BETWEEN $3 AND $4 AND ($5 = '' OR identifier = $5)
ORDER BY received_ms {order}, message_id {order} LIMIT $6
"""


class PostgresCalls:
    """Implements `Calls`."""

    def __init__(self, history: PostgresHistory) -> None:
        self._history = history

    async def begin(self, rows: Sequence[CallRow]) -> None:
        async with self._history.connected(READ_S) as connection:
            await self._history.make(connection, {one.received_ms // DAY_MS for one in rows})
            await connection.execute(
                _BEGIN,
                [one.device.product_key for one in rows],
                [one.device.device_name for one in rows],
                [one.received_ms for one in rows],
                [one.message_id for one in rows],
                [one.identifier for one in rows],
                [one.name for one in rows],
                [one.input for one in rows],
            )

    async def answered(self, answers: Sequence[AnswerRow]) -> None:
        first = _first_each(answers)
        if not first:
            return
        times = [one.replied_ms for one in first]
        async with self._history.connected(WRITE_S) as connection:
            await connection.execute(
                _ANSWERED,
                [one.device.product_key for one in first],
                [one.device.device_name for one in first],
                [one.message_id for one in first],
                [one.identifier for one in first],
                times,
                [one.code for one in first],
                min(times) - ANSWER_DAYS * DAY_MS,
                # The clock that stamped the call may be another's.
                max(times) + DAY_MS,
                [one.output for one in first],
            )

    async def find(self, device: Device, identifier: str, span: Span) -> list[CallRow]:
        statement = _LIST.format(order="ASC" if span.ascending else "DESC")
        async with self._history.connected(READ_S) as connection:
            rows = await connection.fetch(statement, *device, span.start_ms, span.end_ms, identifier, span.limit + 1)
        return [CallRow(Device(row[0], row[1]), *list(row)[2:]) for row in rows]


def _first_each(answers: Iterable[AnswerRow]) -> list[AnswerRow]:
    """A statement updates a row once: of several answers to a call the first one counts."""
    first: dict[tuple[Device, int, str], AnswerRow] = {}
    for one in answers:
        first.setdefault((one.device, one.message_id, one.identifier), one)
    return list(first.values())
