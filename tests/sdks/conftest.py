"""What the SDKs talk to, and the SDKs' processes."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.sdks.driver import Servers
from tests.support.openapi import OpenApi
from tests.support.platform import AllInOne


@pytest.fixture
async def api(all_in_one: AllInOne) -> AsyncIterator[OpenApi]:
    """Our own client, for what a test needs beside the SDK that it is about."""
    yield all_in_one.api()
    await all_in_one.close_apis()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def servers(all_in_one: AllInOne) -> AsyncIterator[Servers]:
    """The SDK takes seconds to import: one process for all tests, which run in the session's loop for it."""
    async with Servers(all_in_one) as process:
        yield process
