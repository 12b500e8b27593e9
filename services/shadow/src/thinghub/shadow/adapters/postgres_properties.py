"""Several properties out of the history, in one statement."""

from collections.abc import Sequence

from thinghub.shadow.adapters.postgres_history import READ_S, PostgresHistory, items_of
from thinghub.shadow.domain.thing_posts import Item
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import Span

_SEVERAL = """
SELECT w.name, p.items FROM unnest($5::text[]) AS w (name) CROSS JOIN LATERAL (
    SELECT items, last_ms, received_ms, message_id FROM property_post
    WHERE product_key = $1 AND device_name = $2 AND last_ms BETWEEN $3 AND $4 AND identifiers @> ARRAY[w.name]
    ORDER BY last_ms {order}, received_ms {order}, message_id {order} LIMIT $6
) p
"""


class PostgresPropertyHistories:
    """Implements `PropertyHistories`."""

    def __init__(self, history: PostgresHistory) -> None:
        self._history = history

    async def several(self, device: Device, identifiers: Sequence[str], span: Span) -> dict[str, list[Item]]:
        statement = _SEVERAL.format(order="ASC" if span.ascending else "DESC")
        values = (*device, span.start_ms, span.end_ms, list(identifiers), span.limit + 1)
        async with self._history.connected(READ_S) as connection:
            rows = await connection.fetch(statement, *values)
        found: dict[str, list[Item]] = {identifier: [] for identifier in identifiers}
        for row in rows:
            inside = (one for one in items_of(row["items"], row["name"]) if span.start_ms <= one.time_ms <= span.end_ms)
            found[row["name"]].extend(inside)
        for items in found.values():
            items.sort(key=lambda one: one.time_ms, reverse=not span.ascending)
            del items[span.limit + 1 :]
        return found
