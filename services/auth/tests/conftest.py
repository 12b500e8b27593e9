from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.auth_service import Auth, StartAuth, auth_starter


@pytest.fixture
async def start_auth(postgres_dsn: str, redis_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[StartAuth]:
    """auth on the session's PostgreSQL and Redis, in a schema and under keys of the test's own."""
    schema = "auth_" + prefix.strip(".")
    servers = {"postgres_dsn": postgres_dsn, "redis_url": redis_url}
    async with auth_starter(tmp_path, postgres_schema=schema, redis_prefix=prefix, **servers) as start:
        yield start


@pytest.fixture
async def auth(start_auth: StartAuth) -> Auth:
    return await start_auth()
