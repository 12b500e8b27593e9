"""Thing models in PostgreSQL."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg

from thinghub.common.migrations import Connection
from thinghub.common.postgres import Postgres
from thinghub.device_registry.adapters.postgres import UNIT_S, connected
from thinghub.device_registry.adapters.postgres_unit import PostgresUnit
from thinghub.device_registry.domain.announcements import ThingModelAnnounced
from thinghub.device_registry.domain.thing_models import EffectiveThingModel, ThingModelVersion
from thinghub.device_registry.errors import ThingModelVersionExists
from thinghub.device_registry.ports.thing_models import ThingModelUnit

_PUT_DRAFT = """
INSERT INTO thing_model_draft (product_key, tsl) VALUES ($1, $2)
ON CONFLICT (product_key) DO UPDATE SET tsl = excluded.tsl
"""
_PUBLISH = """
INSERT INTO thing_model_version (product_key, version, model_version, description, tsl, created_ms)
VALUES ($1, next_version((SELECT max(version) FROM thing_model_version WHERE product_key = $1)), $2, $3, $4, $5)
RETURNING version
"""
_PUBLISHED = """
SELECT tsl FROM thing_model_version
WHERE product_key = $1 AND ($2 = '' OR model_version = $2) ORDER BY version DESC LIMIT 1
"""
_VERSIONS = """
SELECT version, model_version, description, created_ms FROM thing_model_version
WHERE product_key = $1 ORDER BY version DESC
"""
_EFFECTIVE = """
SELECT p.product_key, p.validate_type, p.not_stored, p.instance_id, p.category_key,
    coalesce(m.version, 0) AS version, coalesce(m.tsl, '') AS tsl
FROM product p LEFT JOIN LATERAL (
    SELECT version, tsl FROM thing_model_version v WHERE v.product_key = p.product_key ORDER BY version DESC LIMIT 1
) m ON true
WHERE p.product_key = ANY($1::text[])
"""


class PostgresThingModels:
    """Implements `ThingModelStore`. `announced` is called after something was left in the outbox."""

    def __init__(self, postgres: Postgres, announced: Callable[[], None]) -> None:
        self._postgres = postgres
        self._announced = announced

    @asynccontextmanager
    async def unit(self, instance_id: str, product_key: str) -> AsyncIterator[ThingModelUnit]:
        async with connected(self._postgres, UNIT_S) as connection, connection.transaction():
            product = PostgresUnit(connection)
            await product.lock_product(instance_id, product_key)
            yield _Unit(connection, product, product_key)
        if product.announced:
            self._announced()

    async def draft(self, product_key: str) -> str:
        async with connected(self._postgres) as connection:
            return await _draft(connection, product_key)

    async def published(self, product_key: str, model_version: str) -> str | None:
        async with connected(self._postgres) as connection:
            found = await connection.fetchval(_PUBLISHED, product_key, model_version)
        return None if found is None else str(found)

    async def versions(self, product_key: str) -> Sequence[ThingModelVersion]:
        async with connected(self._postgres) as connection:
            found = await connection.fetch(_VERSIONS, product_key)
        return [
            ThingModelVersion(row["version"], row["model_version"], row["description"], row["created_ms"])
            for row in found
        ]

    async def effective(self, product_keys: Sequence[str]) -> Sequence[EffectiveThingModel]:
        async with connected(self._postgres) as connection:
            found = await connection.fetch(_EFFECTIVE, list(product_keys))
        return [
            EffectiveThingModel(
                row["product_key"],
                row["version"],
                row["tsl"],
                row["validate_type"],
                row["not_stored"],
                row["instance_id"],
                row["category_key"],
            )
            for row in found
        ]


class _Unit:
    """Implements `ThingModelUnit` on a connection inside a transaction that holds the product."""

    def __init__(self, connection: Connection, product: PostgresUnit, product_key: str) -> None:
        self._connection = connection
        self._product = product
        self._product_key = product_key

    async def draft(self) -> str:
        return await _draft(self._connection, self._product_key)

    async def put_draft(self, tsl: str) -> None:
        await self._connection.execute(_PUT_DRAFT, self._product_key, tsl)

    async def count_versions(self) -> int:
        return int(
            await self._connection.fetchval(
                "SELECT count(*) FROM thing_model_version WHERE product_key = $1", self._product_key
            )
        )

    async def publish(self, model_version: str, description: str, tsl: str, at_ms: int) -> int:
        values = (self._product_key, model_version, description, tsl, at_ms)
        try:
            version = int(await self._connection.fetchval(_PUBLISH, *values))
        except asyncpg.UniqueViolationError as error:
            raise ThingModelVersionExists("the product has a thing model of this version") from error
        await self._product.announce(ThingModelAnnounced(self._product_key, version))
        return version


async def _draft(connection: Connection, product_key: str) -> str:
    found = await connection.fetchval("SELECT tsl FROM thing_model_draft WHERE product_key = $1", product_key)
    return str(found or "")
