"""Remembering which sampled messages a device sent, for support: topic, size, time and trace, never the payload.

Finished records that carry sampled messages are looked into a moment later; beyond a few a second they are left out,
because reading one costs as much as a consumer's reading of it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from thinghub.connection_gateway.domain.attempts import Traced
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.errors import ClaimsUnavailable
from thinghub.connection_gateway.ports import Count, FinishedRecord
from thinghub.connection_gateway.service.attempts import Remembered

PAUSE_SECONDS = 0.2
# Records held at a time, hence five times as many a second.
MAX_WAITING = 8

log = logging.getLogger("thinghub.connection_gateway.traced")

Read = Callable[[bytes], Sequence[tuple[Device, Traced]]]


class TracedMessages:
    """`read` gives the sampled messages of a finished record."""

    def __init__(self, remembered: Remembered, read: Read, count: Count) -> None:
        self._remembered = remembered
        self._read = read
        self._count = count
        self._waiting: deque[bytes] = deque()
        self._wake = asyncio.Event()

    def note(self, records: Iterable[FinishedRecord]) -> None:
        for record in records:
            if not record.samples:
                continue
            if len(self._waiting) >= MAX_WAITING:
                self._count("samples_forgotten")
                continue
            self._waiting.append(record.value)
            self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            self._wake.clear()
            while self._waiting:
                await self._remember(self._waiting.popleft())

    async def _remember(self, record: bytes) -> None:
        try:
            await self._remembered.add_messages(self._read(record))
        except ClaimsUnavailable as fault:
            log.debug("sampled messages are not remembered: %s", fault)
            self._count("samples_forgotten")
        except Exception as error:
            log.error("sampled messages could not be remembered", exc_info=error)
