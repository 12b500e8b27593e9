"""Tags in PostgreSQL: those of many devices are read, and what changed is written, by one statement each."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from thinghub.common.migrations import Connection
from thinghub.common.postgres import Postgres
from thinghub.device_registry.adapters.postgres import UNIT_S, connected
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.tags import TagState
from thinghub.device_registry.ports.tags import TagUnit

_NAMED = "unnest($1::text[], $2::text[]) AS n (pk, dn)"
_MARKED = """
INSERT INTO device_tag_mark (product_key, device_name, epoch, sequence)
SELECT d.product_key, d.device_name, 0, 0 FROM unnest($1::text[], $2::text[]) AS n (pk, dn)
JOIN device d ON d.product_key = n.pk AND d.device_name = n.dn
ORDER BY d.product_key, d.device_name ON CONFLICT DO NOTHING
"""
# In the order of names, so that two batches never wait for each other in a circle; the device stays until it is done.
_LOCK = f"""
SELECT m.product_key, m.device_name, m.epoch, m.sequence FROM {_NAMED}
JOIN device_tag_mark m ON m.product_key = n.pk AND m.device_name = n.dn
JOIN device d ON d.product_key = n.pk AND d.device_name = n.dn
ORDER BY m.product_key, m.device_name FOR UPDATE OF m FOR KEY SHARE OF d
"""
_TAGS = f"""
SELECT t.product_key, t.device_name, t.domain, t.tag_key, t.tag_value FROM {_NAMED}
JOIN device_tag t ON t.product_key = n.pk AND t.device_name = n.dn ORDER BY t.domain, t.tag_key
"""
_PUT = """
INSERT INTO device_tag (product_key, device_name, domain, tag_key, tag_value)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
ON CONFLICT (product_key, device_name, domain, tag_key) DO UPDATE SET tag_value = excluded.tag_value
"""
_DROP = """
DELETE FROM device_tag t USING unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n (pk, dn, domain, key)
WHERE t.product_key = n.pk AND t.device_name = n.dn AND t.domain = n.domain AND t.tag_key = n.key
"""
_MARK = """
UPDATE device_tag_mark m SET epoch = n.epoch, sequence = n.sequence
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS n (pk, dn, epoch, sequence)
WHERE m.product_key = n.pk AND m.device_name = n.dn
"""


class PostgresTags:
    """Implements `TagStore`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    @asynccontextmanager
    async def holding(self, devices: Sequence[DeviceId]) -> AsyncIterator[TagUnit]:
        names = [one.product_key for one in devices], [one.device_name for one in devices]
        async with connected(self._postgres, UNIT_S) as connection, connection.transaction():
            await connection.execute(_MARKED, *names)
            marks = await connection.fetch(_LOCK, *names)
            tags = await _read(connection, names)
            states = {}
            for row in marks:
                device = DeviceId(row["product_key"], row["device_name"])
                states[device] = TagState(tags.get(device, {}), row["epoch"], row["sequence"])
            yield PostgresTagUnit(connection, states)

    async def read(self, device: DeviceId) -> TagState:
        async with connected(self._postgres) as connection:
            tags = await _read(connection, ([device.product_key], [device.device_name]))
        return TagState(tags.get(device, {}))


class PostgresTagUnit:
    """Implements `TagUnit`."""

    def __init__(self, connection: Connection, states: Mapping[DeviceId, TagState]) -> None:
        self._connection = connection
        self._states = states

    @property
    def states(self) -> Mapping[DeviceId, TagState]:
        return self._states

    async def write(self, states: Mapping[DeviceId, TagState]) -> None:
        put: list[tuple[str, str, str, str, str]] = []
        drop: list[tuple[str, str, str, str]] = []
        for device, state in states.items():
            name, old = (device.product_key, device.device_name), self._states[device].tags
            put += [(*name, *key, value) for key, value in state.tags.items() if old.get(key) != value]
            drop += [(*name, *key) for key in old if key not in state.tags]
        marks = [(one.product_key, one.device_name, state.epoch, state.sequence) for one, state in states.items()]
        for statement, values in ((_PUT, put), (_DROP, drop), (_MARK, marks)):
            if values:
                await self._connection.execute(statement, *(list(column) for column in zip(*values, strict=True)))


async def _read(
    connection: Connection, names: tuple[list[str], list[str]]
) -> dict[DeviceId, dict[tuple[str, str], str]]:
    tags: dict[DeviceId, dict[tuple[str, str], str]] = {}
    for row in await connection.fetch(_TAGS, *names):
        device = DeviceId(row["product_key"], row["device_name"])
        tags.setdefault(device, {})[row["domain"], row["tag_key"]] = row["tag_value"]
    return tags
