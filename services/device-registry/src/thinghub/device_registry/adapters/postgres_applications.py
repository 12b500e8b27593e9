"""Applications in PostgreSQL, as callers read them."""

from collections.abc import Sequence

from thinghub.common.postgres import Postgres
from thinghub.device_registry.adapters import rows
from thinghub.device_registry.adapters.postgres import UNIT_S, connected
from thinghub.device_registry.domain.applications import Application, Reason, Refusal, State, Wanted
from thinghub.device_registry.domain.devices import Device
from thinghub.device_registry.domain.paging import Page
from thinghub.device_registry.errors import ApplicationInvalid, ApplicationNotFound

_APPLICATION = """
SELECT a.product_key, a.state FROM application a JOIN product p ON p.product_key = a.product_key
WHERE a.apply_id = $1 AND p.instance_id = $2
"""
_ENTRIES = """
SELECT device_name, nickname, sn, made, refused, message FROM application_device WHERE apply_id = $1 ORDER BY number
"""
_DEVICES = f"""
SELECT {rows.DEVICE} FROM {rows.DEVICE_FROM}
JOIN application a ON a.product_key = d.product_key
JOIN application_device e ON e.apply_id = a.apply_id AND e.device_name = d.device_name
WHERE a.apply_id = $1 AND e.number = ANY($2::integer[]) AND e.made ORDER BY e.number
"""
_PAGE = "SELECT number FROM application_device WHERE apply_id = $1 AND made ORDER BY number OFFSET $2 LIMIT $3"
_EXISTING = "SELECT device_name FROM device WHERE product_key = $1 AND device_name = ANY($2::text[])"


class PostgresApplications:
    """Implements `ApplicationStore`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def application(self, instance_id: str, product_key: str, apply_id: int) -> Application:
        async with connected(self._postgres) as connection:
            row = await connection.fetchrow(_APPLICATION, apply_id, instance_id)
            if row is None:
                raise ApplicationNotFound("there is no such application")
            if row["product_key"] != product_key:
                raise ApplicationInvalid("the application is another product's")
            entries = await connection.fetch(_ENTRIES, apply_id)
        state = State(row["state"])
        return Application(
            state,
            [one["device_name"] for one in entries if not one["refused"] and (one["made"] or state is State.CHECKED)],
            [
                Refusal(Wanted(one["device_name"], one["nickname"], one["sn"]), Reason(one["refused"]), one["message"])
                for one in entries
                if one["refused"]
            ],
        )

    async def application_devices(self, instance_id: str, apply_id: int, page: Page) -> tuple[Sequence[Device], int]:
        async with connected(self._postgres) as connection:
            if await connection.fetchrow(_APPLICATION, apply_id, instance_id) is None:
                raise ApplicationNotFound("there is no such application")
            numbers = [row["number"] for row in await connection.fetch(_PAGE, apply_id, page.offset, page.size)]
            found = await connection.fetch(_DEVICES, apply_id, numbers)
            total = await connection.fetchval(
                "SELECT count(*) FROM application_device WHERE apply_id = $1 AND made", apply_id
            )
        return [rows.device(row) for row in found], int(total)

    async def existing_names(self, product_key: str, names: Sequence[str]) -> frozenset[str]:
        async with connected(self._postgres) as connection:
            found = await connection.fetch(_EXISTING, product_key, list(names))
        return frozenset(row["device_name"] for row in found)

    async def purge_applications(self, before_ms: int) -> None:
        async with connected(self._postgres, UNIT_S) as connection:
            await connection.execute(
                "DELETE FROM application WHERE created_ms < $1 AND state <> $2", before_ms, State.RUNNING.value
            )
