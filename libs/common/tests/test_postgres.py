"""The pool and the migrations against a real PostgreSQL, also one that is away."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.support.servers import PostgresServer
from thinghub.common.health import Component, Health
from thinghub.common.migrations import MigrationError, read_migrations
from thinghub.common.postgres import Postgres, PostgresUnavailable


@pytest.fixture
def schema(prefix: str) -> str:
    return prefix.rstrip(".")


@pytest.fixture
async def postgres(postgres_dsn: str, schema: str) -> AsyncIterator[Postgres]:
    pool = Postgres.open(postgres_dsn, schema)
    yield pool
    await pool.close()


@pytest.fixture
def component() -> Component:
    return Health().component("auth", "postgres")


class Package:
    """A package of migrations on disk, importable while the test runs."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self._home = home / name
        self._home.mkdir()
        self.write("__init__.py", "")

    def write(self, file: str, text: str) -> None:
        (self._home / file).write_text(text)


@pytest.fixture
def package(tmp_path: Path, schema: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    monkeypatch.syspath_prepend(tmp_path)
    made = Package(f"migrations_{schema}", tmp_path)
    made.write("0001_devices.sql", "CREATE TABLE devices (name text PRIMARY KEY);")
    made.write("0002_enabled.sql", "ALTER TABLE devices ADD enabled boolean NOT NULL DEFAULT true;\nSELECT 1;")
    yield made
    sys.modules.pop(made.name, None)


async def _until(component: Component, ok: bool, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while component.is_ok is not ok:
            await asyncio.sleep(0.02)


async def test_the_schema_is_made_and_on_the_search_path(postgres: Postgres, schema: str) -> None:
    async with postgres.acquire() as connection:
        assert await connection.fetchval("SELECT current_schema()") == schema
        await connection.execute("CREATE TABLE things (id int)")
        assert await connection.fetchval("SELECT schemaname FROM pg_tables WHERE tablename = 'things'") == schema


async def test_migrations_are_applied_once_in_order(postgres: Postgres, package: Package) -> None:
    assert await postgres.migrate(package.name) == ["0001_devices.sql", "0002_enabled.sql"]
    assert await postgres.migrate(package.name) == []
    package.write("0003_more.sql", "CREATE TABLE more (id int);")
    assert await postgres.migrate(package.name) == ["0003_more.sql"]
    async with postgres.acquire() as connection:
        await connection.execute("INSERT INTO devices (name) VALUES ('a')")
        assert await connection.fetchval("SELECT enabled FROM devices")


async def test_processes_that_migrate_at_once_do_it_once(
    postgres_dsn: str, schema: str, postgres: Postgres, package: Package
) -> None:
    package.write("0003_slow.sql", "SELECT pg_sleep(0.3); CREATE TABLE slow (id int);")
    pools = [Postgres.open(postgres_dsn, schema) for _ in range(4)]
    try:
        applied = await asyncio.gather(*(pool.migrate(package.name) for pool in pools))
        assert sorted(map(len, applied)) == [0, 0, 0, 3]
    finally:
        for pool in pools:
            await pool.close()


async def test_a_migration_that_fails_leaves_nothing(postgres: Postgres, package: Package) -> None:
    package.write("0003_wrong.sql", "CREATE TABLE half (id int); SELECT nonsense;")
    with pytest.raises(asyncpg.PostgresError):
        await postgres.migrate(package.name)
    package.write("0003_wrong.sql", "CREATE TABLE half (id int);")
    assert await postgres.migrate(package.name) == ["0003_wrong.sql"]


async def test_a_changed_or_late_migration_is_refused(postgres: Postgres, package: Package) -> None:
    await postgres.migrate(package.name)
    package.write("0002_enabled.sql", "SELECT 2;")
    with pytest.raises(MigrationError, match=r"0002_enabled\.sql was changed"):
        await postgres.migrate(package.name)


def test_file_names_are_checked(package: Package) -> None:
    package.write("0002_again.sql", "")
    with pytest.raises(MigrationError, match="one number"):
        read_migrations(package.name)
    package.write("3_short.sql", "")
    with pytest.raises(MigrationError):
        read_migrations(package.name)


async def test_an_error_of_the_statement_is_the_callers(postgres: Postgres) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with postgres.acquire() as connection:
            await connection.execute("SELECT * FROM nothing")
    with pytest.raises(KeyError):
        async with postgres.acquire():
            raise KeyError("mine")
    await postgres.ping()


async def test_a_server_that_is_away_is_unavailable_and_soon_at_once(schema: str, component: Component) -> None:
    postgres = Postgres.open("postgresql://127.0.0.1:1/none", schema)
    for _ in range(3):
        with pytest.raises(PostgresUnavailable, match="away"):
            await postgres.ping()
    watching = asyncio.create_task(postgres.watch(component))
    await asyncio.sleep(0.2)
    assert not component.is_ok
    assert "away" in component.why
    watching.cancel()
    await postgres.close()


async def test_a_wrong_database_is_told_and_not_fatal(postgres_dsn: str, schema: str, component: Component) -> None:
    postgres = Postgres.open(postgres_dsn.replace("/postgres", "/nowhere", 1), schema)
    watching = asyncio.create_task(postgres.watch(component))
    async with asyncio.timeout(5):
        while component.why == "starting":
            await asyncio.sleep(0.02)
    assert "nowhere" in component.why or component.is_ok
    assert not watching.done()
    watching.cancel()
    await postgres.close()


async def test_nobody_meets_half_a_schema(
    postgres_dsn: str, schema: str, component: Component, package: Package
) -> None:
    postgres = Postgres.open(postgres_dsn, schema, migrations=package.name)
    with pytest.raises(PostgresUnavailable, match="not prepared"):
        await postgres.ping()
    watching = asyncio.create_task(postgres.watch(component))
    await _until(component, True)
    async with postgres.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM devices") == 0
    watching.cancel()
    await postgres.close()


async def test_a_migration_that_cannot_be_applied_ends_the_watch(
    postgres_dsn: str, schema: str, component: Component, package: Package
) -> None:
    package.write("0002_again.sql", "")
    postgres = Postgres.open(postgres_dsn, schema, migrations=package.name)
    with pytest.raises(MigrationError):
        await asyncio.wait_for(postgres.watch(component), 10)
    await postgres.close()


async def test_killed_and_restarted_it_heals(
    private_postgres: PostgresServer, component: Component, package: Package
) -> None:
    postgres = Postgres.open(private_postgres.dsn, "auth", migrations=package.name)
    watching = asyncio.create_task(postgres.watch(component))

    async def cut_off() -> None:
        async with postgres.acquire() as connection:
            await asyncio.to_thread(private_postgres.kill)
            await connection.execute("SELECT 1")

    try:
        await _until(component, True)
        async with postgres.acquire() as connection:
            await connection.execute("INSERT INTO devices (name) VALUES ('a')")
        with pytest.raises(PostgresUnavailable):
            await cut_off()
        await _until(component, False)
        with pytest.raises(PostgresUnavailable):
            await postgres.ping()
        await asyncio.to_thread(private_postgres.start)
        await _until(component, True)
        async with postgres.acquire() as connection:
            assert await connection.fetchval("SELECT count(*) FROM devices") == 1
    finally:
        watching.cancel()
        await postgres.close()


async def test_a_frozen_server_costs_no_more_than_the_deadline(private_postgres: PostgresServer) -> None:
    postgres = Postgres.open(private_postgres.dsn, "auth")

    async def ask() -> None:
        async with postgres.acquire() as connection:
            await connection.execute("SELECT 1", timeout=0.5)

    await ask()
    private_postgres.pause()
    began = asyncio.get_running_loop().time()
    try:
        with pytest.raises(PostgresUnavailable):
            await ask()
        assert asyncio.get_running_loop().time() - began < 8
    finally:
        private_postgres.resume()
    async with asyncio.timeout(15):
        while True:
            try:
                await ask()
                break
            except PostgresUnavailable:
                await asyncio.sleep(0.1)
    await postgres.close()


async def test_a_statement_that_takes_too_long_is_unavailable(postgres: Postgres) -> None:
    with pytest.raises(PostgresUnavailable, match="no answer in time"):
        async with postgres.acquire() as connection:
            await connection.execute("SELECT pg_sleep(5)", timeout=0.2)
    await postgres.ping()


async def test_more_callers_than_connections_wait_their_turn(postgres_dsn: str, schema: str) -> None:
    postgres = Postgres.open(postgres_dsn, schema, max_size=2)

    async def work() -> None:
        async with postgres.acquire() as connection:
            await connection.execute("SELECT pg_sleep(0.05)")

    await asyncio.gather(*(work() for _ in range(10)))
    await postgres.close()
    with pytest.raises(PostgresUnavailable, match="closed"):
        await postgres.ping()


@pytest.mark.parametrize("schema_name", ["", "a-b", 'a"b', "é"])
def test_a_schema_is_a_plain_name(schema_name: str) -> None:
    with pytest.raises(ValueError, match="schema"):
        Postgres.open("postgresql://h/d", schema_name)
