"""Rotation of device secrets in PostgreSQL, on the rows of `postgres_devices`."""

from collections.abc import Mapping, Sequence

from thinghub.auth.adapters.postgres import connected
from thinghub.auth.adapters.postgres_devices import COLUMNS, LOCKED, PostgresDeviceCredentials, credential, keys
from thinghub.auth.domain.devices import Credential, DeviceId
from thinghub.auth.domain.rotation import Rotation
from thinghub.auth.domain.sealing import Sealed
from thinghub.common.postgres import Postgres

_ROTATE = f"""
UPDATE device_credential c SET
    former_key_id = $7, former_ciphertext = $8, rotated_ms = $9, former_until_ms = $10, adopted_ms = 0,
    key_id = $5, ciphertext = $6, version = next_version(c.version)
WHERE c.product_key = $1 AND c.device_name = $2 AND NOT c.deleted AND c.key_id = $3 AND c.ciphertext = $4
RETURNING {COLUMNS}
"""

_FINISH = f"""
UPDATE device_credential c SET former_key_id = NULL, former_ciphertext = NULL,
    former_until_ms = least(c.former_until_ms, $3), version = next_version(c.version)
WHERE c.product_key = $1 AND c.device_name = $2 AND NOT c.deleted AND c.rotated_ms > 0
RETURNING {COLUMNS}
"""

_TAKE_BACK = f"""
UPDATE device_credential c SET key_id = c.former_key_id, ciphertext = c.former_ciphertext, former_key_id = NULL,
    former_ciphertext = NULL, rotated_ms = 0, former_until_ms = 0, adopted_ms = 0, version = next_version(c.version)
WHERE c.product_key = $1 AND c.device_name = $2 AND NOT c.deleted
    AND c.former_ciphertext IS NOT NULL AND c.former_until_ms > $3
RETURNING {COLUMNS}
"""

_ADOPT = f"""{LOCKED}
UPDATE device_credential c SET adopted_ms = $4, version = next_version(c.version)
FROM locked, unnest($1::text[], $2::text[], $3::bigint[]) AS n (pk, dn, started_ms)
WHERE c.product_key = locked.pk AND c.device_name = locked.dn AND n.pk = locked.pk AND n.dn = locked.dn
    AND c.rotated_ms = n.started_ms AND c.adopted_ms = 0
RETURNING {COLUMNS}
"""


class PostgresRotatedSecrets:
    """Implements `RotatedSecrets`."""

    def __init__(self, postgres: Postgres, credentials: PostgresDeviceCredentials) -> None:
        self._postgres = postgres
        self._credentials = credentials

    async def find(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, Credential]:
        return await self._credentials.find(devices)

    async def rotate(self, device: DeviceId, expected: Sealed, new: Sealed, rotation: Rotation) -> Credential | None:
        former = rotation.former
        kept = (former.key_id, former.ciphertext) if former else (None, None)
        secrets = (expected.key_id, expected.ciphertext, new.key_id, new.ciphertext, *kept)
        return await self._one(_ROTATE, device, *secrets, rotation.started_ms, rotation.former_until_ms)

    async def finish(self, device: DeviceId, now_ms: int) -> Credential | None:
        return await self._one(_FINISH, device, now_ms)

    async def take_back(self, device: DeviceId, now_ms: int) -> Credential | None:
        return await self._one(_TAKE_BACK, device, now_ms)

    async def adopt(self, devices: Mapping[DeviceId, int], now_ms: int) -> Sequence[Credential]:
        return await self._many(_ADOPT, *keys(list(devices)), list(devices.values()), now_ms)

    async def _one(self, statement: str, device: DeviceId, *values: object) -> Credential | None:
        found = await self._many(statement, device.product_key, device.device_name, *values)
        return found[0] if found else None

    async def _many(self, statement: str, *values: object) -> list[Credential]:
        async with connected(self._postgres) as connection:
            return [credential(row) for row in await connection.fetch(statement, *values)]
