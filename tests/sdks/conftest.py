"""What the SDKs talk to, and the SDKs' processes."""

from collections.abc import AsyncIterator

import pytest

from tests.support.openapi import OpenApi
from tests.support.platform import AllInOne


@pytest.fixture
async def api(all_in_one: AllInOne) -> AsyncIterator[OpenApi]:
    """Our own client, for what a test needs beside the SDK that it is about."""
    yield all_in_one.api()
    await all_in_one.close_apis()
