"""Topology in PostgreSQL: that of many gateways is read, and what changed is written, by one statement each."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg

from thinghub.common.migrations import Connection
from thinghub.common.postgres import Postgres
from thinghub.device_registry.adapters import rows
from thinghub.device_registry.adapters.postgres import UNIT_S, connected, within
from thinghub.device_registry.domain.devices import Device, DeviceId
from thinghub.device_registry.domain.paging import Page
from thinghub.device_registry.domain.topology import Binding, ChangeStatus, Event, Gateway, Identity, Notice, SubDevice
from thinghub.device_registry.ports.topology import TopologyUnit

DEVICES_ANNOUNCED = 200
BINDINGS_S = 0.5  # a sub-device that logs in waits for it, and the copies are still to be asked

_NAMED = "unnest($1::text[], $2::text[]) AS n (pk, dn)"
_DEVICES = f"{_NAMED} JOIN device d ON d.product_key = n.pk AND d.device_name = n.dn"
_MARKED = f"""
INSERT INTO topology_mark (product_key, device_name, epoch, sequence)
SELECT d.product_key, d.device_name, 0, 0 FROM {_DEVICES}
ORDER BY d.product_key, d.device_name ON CONFLICT DO NOTHING
"""
# In the order of names, so that two batches never wait for each other in a circle; read only once they are held.
_LOCK_GATEWAYS = f"""
SELECT 1 FROM {_DEVICES}
JOIN topology_mark m ON m.product_key = n.pk AND m.device_name = n.dn
ORDER BY m.product_key, m.device_name FOR UPDATE OF m FOR KEY SHARE OF d
"""
_LOCK_SUBS = f"SELECT 1 FROM {_DEVICES} ORDER BY d.product_key, d.device_name FOR NO KEY UPDATE OF d"
_GATEWAYS = f"""
SELECT d.product_key, d.device_name, p.instance_id, p.node_type, m.epoch, m.sequence,
    (SELECT count(*) FROM topology t WHERE t.gateway_key = n.pk AND t.gateway_name = n.dn) AS held
FROM {_DEVICES} JOIN product p ON p.product_key = d.product_key
JOIN topology_mark m ON m.product_key = n.pk AND m.device_name = n.dn
"""
_SUBS = f"""
SELECT d.product_key, d.device_name, p.instance_id, p.node_type, t.gateway_key, t.gateway_name
FROM {_DEVICES} JOIN product p ON p.product_key = d.product_key
LEFT JOIN topology t ON t.product_key = n.pk AND t.device_name = n.dn
"""
_BIND = """
INSERT INTO topology (product_key, device_name, gateway_key, gateway_name, created_ms)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[])
ON CONFLICT (product_key, device_name) DO UPDATE SET
    gateway_key = excluded.gateway_key, gateway_name = excluded.gateway_name, created_ms = excluded.created_ms
"""
_RELEASE = f"DELETE FROM topology t USING {_NAMED} WHERE t.product_key = n.pk AND t.device_name = n.dn"
_MARK = """
UPDATE topology_mark m SET epoch = n.epoch, sequence = n.sequence
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS n (pk, dn, epoch, sequence)
WHERE m.product_key = n.pk AND m.device_name = n.dn
"""
_LEAVE = """
INSERT INTO topology_notice (gateway_key, gateway_name, product_key, device_name, status, ends_session, at_ms)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::boolean[], $7::bigint[])
"""
_ANNOUNCE = """
INSERT INTO outbox (product_key, device_name, action, iot_id, at_ms, members)
SELECT g.product_key, g.device_name, n.action, g.iot_id, $7, json_agg(
    json_build_object('iotId', d.iot_id, 'productKey', d.product_key, 'deviceName', d.device_name) ORDER BY n.place
)::text
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[])
    WITH ORDINALITY AS n (gpk, gdn, pk, dn, action, number, place)
JOIN device g ON g.product_key = n.gpk AND g.device_name = n.gdn
JOIN device d ON d.product_key = n.pk AND d.device_name = n.dn
GROUP BY n.number, n.action, g.product_key, g.device_name ORDER BY n.number
"""
_HELD = f"""
SELECT n.pk, n.dn, t.product_key, t.device_name FROM {_DEVICES}
LEFT JOIN topology t ON t.gateway_key = n.pk AND t.gateway_name = n.dn
ORDER BY t.product_key, t.device_name
"""
_BINDINGS = f"""
SELECT t.product_key, t.device_name, t.gateway_key, t.gateway_name, t.created_ms FROM {_NAMED}
JOIN topology t ON t.product_key = n.pk AND t.device_name = n.dn
"""
_IDENTITIES = f"""
SELECT n.pk, n.dn, p.instance_id, coalesce(d.iot_id, '') AS iot_id FROM {_NAMED} JOIN product p ON p.product_key = n.pk
LEFT JOIN device d ON d.product_key = n.pk AND d.device_name = n.dn
"""
_PAGE = f"""
SELECT {rows.DEVICE} FROM {rows.DEVICE_FROM}
JOIN topology t ON t.product_key = d.product_key AND t.device_name = d.device_name
WHERE t.gateway_key = $1 AND t.gateway_name = $2 ORDER BY t.product_key, t.device_name OFFSET $3 LIMIT $4
"""
_COUNT = "SELECT count(*) FROM topology WHERE gateway_key = $1 AND gateway_name = $2"
_TAKE = "SELECT * FROM topology_notice ORDER BY id LIMIT $1"
_ONE_AT_A_TIME = "SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || ' topology_notice', 0))"


class PostgresTopology:
    """Implements `TopologyStore`. `left` is called after a transaction that left a notice, `announced` after one that
    left something in the outbox."""

    def __init__(self, postgres: Postgres, left: Callable[[], None], announced: Callable[[], None]) -> None:
        self._postgres = postgres
        self._left = left
        self._announced = announced

    @asynccontextmanager
    async def holding(self, gateways: Sequence[DeviceId], subs: Sequence[DeviceId]) -> AsyncIterator[TopologyUnit]:
        async with connected(self._postgres, UNIT_S) as connection, connection.transaction():
            unit = PostgresTopologyUnit(connection, await _hold(connection, gateways), await _lock(connection, subs))
            yield unit
        if unit.left:
            self._left()
        if unit.announced:
            self._announced()

    async def held_by(self, gateways: Sequence[DeviceId]) -> Mapping[DeviceId, Sequence[DeviceId]]:
        async with connected(self._postgres) as connection:
            found = await connection.fetch(_HELD, *_names(gateways))
        held: dict[DeviceId, list[DeviceId]] = {}
        for row in found:
            subs = held.setdefault(DeviceId(row["pk"], row["dn"]), [])
            if row["product_key"] is not None:
                subs.append(_device(row))
        return held

    async def bindings(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Binding]:
        return await within(BINDINGS_S, self._bindings(devices))

    async def _bindings(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Binding]:
        async with connected(self._postgres) as connection:
            found = await connection.fetch(_BINDINGS, *_names(devices))
        return {
            _device(row): Binding(DeviceId(row["gateway_key"], row["gateway_name"]), row["created_ms"]) for row in found
        }

    async def identities(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Identity]:
        async with connected(self._postgres) as connection:
            found = await connection.fetch(_IDENTITIES, *_names(devices))
        return {DeviceId(row["pk"], row["dn"]): Identity(row["instance_id"], row["iot_id"]) for row in found}

    async def page(self, gateway: DeviceId, page: Page) -> tuple[Sequence[Device], int]:
        name = gateway.product_key, gateway.device_name
        async with connected(self._postgres) as connection:
            found = await connection.fetch(_PAGE, *name, page.offset, page.size)
            total = await connection.fetchval(_COUNT, *name)
        return [rows.device(row) for row in found], int(total)


class PostgresTopologyUnit:
    """Implements `TopologyUnit`."""

    def __init__(
        self, connection: Connection, gateways: Mapping[DeviceId, Gateway], subs: Mapping[DeviceId, SubDevice]
    ) -> None:
        self._connection = connection
        self.gateways = gateways
        self.subs = subs
        self.left = False
        self.announced = False

    async def bind(self, bindings: Mapping[DeviceId, Binding]) -> None:
        bound = [(one, to.gateway, to.since_ms) for one, to in bindings.items() if to.gateway is not None]
        free = [one for one, to in bindings.items() if to.gateway is None]
        if free:
            await self._connection.execute(_RELEASE, *_names(free))
        if bound:
            subs, gateways, since = zip(*bound, strict=True)
            await self._connection.execute(_BIND, *_names(subs), *_names(gateways), list(since))

    async def mark(self, gateways: Sequence[Gateway]) -> None:
        if gateways:
            numbers = [one.epoch for one in gateways], [one.sequence for one in gateways]
            await self._connection.execute(_MARK, *_names([one.device for one in gateways]), *numbers)

    async def leave(self, notices: Sequence[Notice], events: Sequence[Event], at_ms: int) -> None:
        if notices:
            await leave(self._connection, notices)
            self.left = True
        if events:
            await announce(self._connection, events, at_ms)
            self.announced = True


async def leave(connection: Connection, notices: Sequence[Notice]) -> None:
    await connection.execute(
        _LEAVE,
        *_names([one.gateway for one in notices]),
        *_names([one.device for one in notices]),
        [one.status for one in notices],
        [one.ends_session for one in notices],
        [one.at_ms for one in notices],
    )


async def announce(connection: Connection, events: Sequence[Event], at_ms: int) -> None:
    await connection.execute(
        _ANNOUNCE,
        *_names([one.gateway for one in events]),
        *_names([one.device for one in events]),
        [rows.TOPOLOGY_ACTION + one.status.name.lower() for one in events],
        list(_announcements(events)),
        at_ms,
    )


def _announcements(events: Sequence[Event]) -> Iterator[int]:
    """Numbers that neighbours of one gateway and one status share, as far as one announcement goes."""
    number = size = 0
    for last, one in zip((None, *events), events, strict=False):
        if last and size < DEVICES_ANNOUNCED and (last.gateway, last.status) == (one.gateway, one.status):
            size += 1
        else:
            number, size = number + 1, 1
        yield number


class PostgresNotices:
    """Implements `NoticeStore`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    @asynccontextmanager
    async def taking(self, limit: int) -> AsyncIterator[Sequence[Notice]]:
        async with connected(self._postgres, UNIT_S) as connection, connection.transaction():
            mine = await connection.fetchval(_ONE_AT_A_TIME)
            notices = [_notice(row) for row in await connection.fetch(_TAKE, limit)] if mine else []
            yield notices
            if notices:
                await connection.execute(
                    "DELETE FROM topology_notice WHERE id = ANY($1::bigint[])", [one.id for one in notices]
                )


async def _hold(connection: Connection, gateways: Sequence[DeviceId]) -> Mapping[DeviceId, Gateway]:
    if not gateways:
        return {}
    names = _names(gateways)
    await connection.execute(_MARKED, *names)
    await connection.fetch(_LOCK_GATEWAYS, *names)
    return {
        _device(row): Gateway(
            _device(row), row["instance_id"], row["node_type"], row["held"], row["epoch"], row["sequence"]
        )
        for row in await connection.fetch(_GATEWAYS, *names)
    }


async def _lock(connection: Connection, subs: Sequence[DeviceId]) -> Mapping[DeviceId, SubDevice]:
    if not subs:
        return {}
    names = _names(subs)
    await connection.fetch(_LOCK_SUBS, *names)
    return {_device(row): _sub(row) for row in await connection.fetch(_SUBS, *names)}


def _sub(row: asyncpg.Record) -> SubDevice:
    gateway = DeviceId(row["gateway_key"], row["gateway_name"]) if row["gateway_key"] is not None else None
    return SubDevice(_device(row), row["instance_id"], row["node_type"], gateway)


def _notice(row: asyncpg.Record) -> Notice:
    status = None if row["status"] is None else ChangeStatus(row["status"])
    gateway = DeviceId(row["gateway_key"], row["gateway_name"])
    return Notice(gateway, _device(row), status, row["ends_session"], row["at_ms"], row["id"])


def _device(row: asyncpg.Record) -> DeviceId:
    return DeviceId(row["product_key"], row["device_name"])


def _names(devices: Sequence[DeviceId]) -> tuple[list[str], list[str]]:
    return [one.product_key for one in devices], [one.device_name for one in devices]
