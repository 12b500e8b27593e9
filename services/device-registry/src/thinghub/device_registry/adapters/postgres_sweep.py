"""The status projection as the sweep reads and repairs it."""

from collections.abc import Sequence

from thinghub.common.postgres import Postgres
from thinghub.device_registry.adapters.postgres import UNIT_S, connected
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.sweeping import Projected, Repair

_PAGE = """
SELECT s.product_key, s.device_name, s.online, s.epoch
FROM device_status s JOIN device d USING (product_key, device_name)
WHERE (s.product_key, s.device_name) > ($1, $2) AND (s.online OR s.last_online_ms > $3)
ORDER BY s.product_key, s.device_name LIMIT $4
"""
_REPAIR = """
UPDATE device_status s SET
    online = n.online,
    activated_ms = CASE WHEN s.activated_ms = 0 THEN n.online_ms ELSE s.activated_ms END,
    last_online_ms = CASE WHEN n.epoch > s.epoch AND n.online THEN n.online_ms ELSE s.last_online_ms END,
    client_address = CASE WHEN n.address = '' THEN s.client_address ELSE n.address END,
    epoch = n.epoch
FROM unnest($1::text[], $2::text[], $3::boolean[], $4::bigint[], $5::boolean[], $6::bigint[], $7::bigint[], $8::text[])
    AS n (pk, dn, was_online, was_epoch, online, epoch, online_ms, address)
WHERE s.product_key = n.pk AND s.device_name = n.dn AND s.online = n.was_online AND s.epoch = n.was_epoch
"""


class PostgresSweep:
    """Implements `SweptStatuses`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def page(self, after: DeviceId, seen_after_ms: int, limit: int) -> Sequence[Projected]:
        async with connected(self._postgres, UNIT_S) as connection:
            found = await connection.fetch(_PAGE, after.product_key, after.device_name, seen_after_ms, limit)
        return [
            Projected(DeviceId(row["product_key"], row["device_name"]), row["online"], row["epoch"]) for row in found
        ]

    async def repair(self, repairs: Sequence[Repair]) -> int:
        columns = (
            [one.was.device.product_key for one in repairs],
            [one.was.device.device_name for one in repairs],
            [one.was.online for one in repairs],
            [one.was.epoch for one in repairs],
            [one.change.online for one in repairs],
            [one.change.epoch for one in repairs],
            [one.change.online_ms for one in repairs],
            [one.change.client_address for one in repairs],
        )
        async with connected(self._postgres) as connection:
            status = await connection.execute(_REPAIR, *columns)
        return int(status.rpartition(" ")[2])
