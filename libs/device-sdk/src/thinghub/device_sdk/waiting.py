"""The bound and the deadline of calls that wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from thinghub.device_sdk.errors import DeadlineExceeded, TooManyWaiting


class Waiting:
    """At most `limit` calls at a time."""

    def __init__(self, limit: int) -> None:
        self._limit, self._now = limit, 0

    @asynccontextmanager
    async def turn(self, deadline: float, what: str) -> AsyncIterator[None]:
        """Raises TooManyWaiting at once, DeadlineExceeded after so many seconds inside."""
        if self._now >= self._limit:
            raise TooManyWaiting(f"{self._now} calls wait already: {what}")
        self._now += 1
        try:
            async with asyncio.timeout(deadline):
                yield
        except TimeoutError as error:
            raise DeadlineExceeded(f"{what}: not acknowledged within {deadline} s") from error
        finally:
            self._now -= 1
