"""Schema migrations: numbered SQL files in a package, each applied once.

`NNNN_name.sql`, NNNN rising. A file that was applied never changes: its checksum is kept, and a changed file is
refused. A number in the database without a file is a newer release's; migrations only add, so an older release works
beside it.
"""

import contextlib
import hashlib
import importlib.resources
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

LOCK_SECONDS = 60.0
FILE_SECONDS = 300.0

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

# in quotes: generic for the type checker only
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

log = logging.getLogger("thinghub.common.migrations")


class MigrationError(Exception):
    """The files are not what they must be; a person has to look."""


@dataclass(frozen=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(package: str) -> list[Migration]:
    """The migrations of a package by number. Raises MigrationError for two with one number or a wrong name."""
    found: dict[int, Migration] = {}
    for file in importlib.resources.files(package).iterdir():
        if not file.name.endswith(".sql"):
            continue
        match = _NAME.fullmatch(file.name)
        if match is None:
            raise MigrationError(f"{package}: {file.name} is not NNNN_name.sql")
        number = int(match[1])
        if number in found:
            raise MigrationError(f"{package}: {file.name} and {found[number].name} have one number")
        found[number] = Migration(number, file.name, file.read_text(encoding="utf-8"))
    return [found[number] for number in sorted(found)]


async def apply_migrations(connection: Connection, package: str) -> list[str]:
    """Applies what is missing, in the schema first on the search_path; returns the names. Others who do the same
    wait."""
    migrations = read_migrations(package)
    lock = "hashtextextended('thinghub:migrations:' || current_schema(), 0)"
    await connection.execute(f"SELECT pg_advisory_lock({lock})", timeout=LOCK_SECONDS)
    try:
        await connection.execute(_TABLE)
        done = {
            row["number"]: row["sha256"]
            for row in await connection.fetch("SELECT number, sha256 FROM schema_migrations")
        }
        return [await _apply(connection, migration) for migration in _missing(migrations, done)]
    finally:
        with contextlib.suppress(asyncpg.InterfaceError, asyncpg.PostgresConnectionError):  # then the lock is gone too
            await connection.execute(f"SELECT pg_advisory_unlock({lock})")


def missing_migrations(package: str, done: Mapping[int, str]) -> tuple[list[str], list[int]]:
    """Names of the files that are not among `done` (number to sha256), and the numbers of a newer release's. Raises
    MigrationError."""
    migrations = read_migrations(package)
    known = {migration.number for migration in migrations}
    return [migration.name for migration in _missing(migrations, done)], sorted(done.keys() - known)


def _missing(migrations: list[Migration], done: Mapping[int, str]) -> list[Migration]:
    for migration in migrations:
        if done.get(migration.number, migration.sha256) != migration.sha256:
            raise MigrationError(f"{migration.name} was changed after it was applied; add a new file instead")
    missing = [migration for migration in migrations if migration.number not in done]
    if missing and done and missing[0].number < max(done):
        raise MigrationError(f"{missing[0].name} comes before number {max(done)}, which is applied already")
    return missing


async def _apply(connection: Connection, migration: Migration) -> str:
    async with connection.transaction():
        await connection.execute(migration.sql, timeout=FILE_SECONDS)
        await connection.execute(
            "INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)",
            migration.number,
            migration.name,
            migration.sha256,
        )
    log.info("applied migration %s", migration.name)
    return migration.name
