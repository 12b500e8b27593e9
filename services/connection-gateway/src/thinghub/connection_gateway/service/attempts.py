"""Remembering connects and closes for support, off every path that a device waits on.

Each is noted in a bounded queue and written a moment later, many in one batch; what does not fit, or cannot be written
because Redis is away, is counted and forgotten. So that nobody can fill Redis with made-up names, refusals that prove
nothing have a small allowance of their own, and only names of products that exist are written.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from thinghub.common.errors import Fault
from thinghub.connection_gateway.domain.attempts import UNPROVEN, Attempt, Kind, Traced
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.rates import PerSecond
from thinghub.connection_gateway.domain.sessions import Session
from thinghub.connection_gateway.ports import Count
from thinghub.device_protocol.connect import ConnectError, named_device

PAUSE_SECONDS = 0.2
BATCH = 500
MAX_WAITING = 5000
# Of the allowance: refusals of devices that exist, and those that may be of made-up names.
REFUSED_SHARE, UNPROVEN_SHARE = 5, 50

log = logging.getLogger("thinghub.connection_gateway.attempts")

NeedProducts = Callable[[Iterable[str]], Awaitable[set[str]]]
"""Those of the products that do not exist; raises Unavailable."""


@dataclass(frozen=True, slots=True)
class History:
    """Newest first. `barred_ms`: for how long connects are still refused by a tombstone."""

    attempts: tuple[Attempt, ...] = ()
    messages: tuple[Traced, ...] = ()
    barred_ms: int = 0


class Remembered(Protocol):
    """Where it is kept. Every method raises ClaimsUnavailable."""

    async def add(self, attempts: Sequence[tuple[Device, Attempt]]) -> None:
        """Oldest first; the store keeps the last few of each device for a while."""

    async def add_messages(self, messages: Sequence[tuple[Device, Traced]]) -> None: ...

    async def of(self, devices: Sequence[Device]) -> list[History]:
        """One a device, in order."""


class Attempts:
    """`per_second`: what is remembered at most; 0: nothing. `clock` gives seconds of a steady clock. `address` is known
    once this gateway serves RPC."""

    def __init__(
        self,
        remembered: Remembered,
        unknown_products: NeedProducts,
        per_second: int,
        clock: Callable[[], float],
        clock_ms: Callable[[], int],
        count: Count,
    ) -> None:
        self._remembered = remembered
        self._unknown_products = unknown_products
        self._sessions = PerSecond(per_second)
        self._refusals = PerSecond(_share(per_second, REFUSED_SHARE))
        self._unproven = PerSecond(_share(per_second, UNPROVEN_SHARE))
        self._clock = clock
        self._clock_ms = clock_ms
        self._count = count
        self._waiting: deque[tuple[Device | str, Attempt]] = deque()
        self._writing = False
        self._wake = asyncio.Event()
        self.address = ""

    def accepted(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            self._note(self._sessions, session.device, Kind.ACCEPTED, "", session.client)

    def closed(self, session: Session, reason: str) -> None:
        self._note(self._sessions, session.device, Kind.CLOSED, reason, session.client)

    def refused(self, who: Device | str, reason: str, client: str) -> None:
        """A CONNECT was answered with no; whom a user name names is found out later."""
        allowance = self._unproven if reason in UNPROVEN else self._refusals
        self._note(allowance, who, Kind.REFUSED, reason, client)

    async def run(self) -> None:
        """Writes what was noted, for ever."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            while self._waiting:
                self._writing = True
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                await self._write(batch)
                self._writing = False
            self._wake.clear()

    async def drained(self, deadline: float) -> None:
        """Waits until everything noted was written, no longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                while self._waiting or self._writing:
                    await asyncio.sleep(0.01)

    def __len__(self) -> int:
        return len(self._waiting)

    def _note(self, allowance: PerSecond, who: Device | str, kind: Kind, reason: str, client: str) -> None:
        if len(self._waiting) >= MAX_WAITING or not allowance.allows(None, self._clock()):
            self._forget(1)
            return
        self._waiting.append((who, Attempt(kind, str(reason), client, self.address, self._clock_ms())))
        self._wake.set()

    async def _write(self, batch: Sequence[tuple[Device | str, Attempt]]) -> None:
        try:
            known = [(who, attempt) for who, attempt in batch if isinstance(who, Device)]
            known += await self._of_products([(who, attempt) for who, attempt in batch if isinstance(who, str)])
            await self._remembered.add(known)
        except Fault as fault:
            log.debug("%d connects and closes are not remembered: %s", len(batch), fault)
            self._forget(len(batch))
        except Exception as error:
            log.error("connects and closes could not be remembered", exc_info=error)

    async def _of_products(self, refusals: Sequence[tuple[str, Attempt]]) -> list[tuple[Device, Attempt]]:
        """Those whose product exists, as far as that can be found out now."""
        named = [(device, attempt) for username, attempt in refusals if (device := _named(username)) is not None]
        try:
            unknown = await self._unknown_products({device.product_key for device, _ in named})
        except Fault as fault:
            log.debug("%d refusals are not remembered: %s", len(named), fault)
            self._forget(len(named))
            return []
        return [one for one in named if one[0].product_key not in unknown]

    def _forget(self, many: int) -> None:
        for _ in range(many):
            self._count("attempts_forgotten")


def _share(per_second: int, share: int) -> int:
    return max(per_second // share, 1) if per_second else 0


def _named(username: str) -> Device | None:
    try:
        return Device(*named_device(username))
    except ConnectError:
        return None
