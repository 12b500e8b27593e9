"""What is done to the platform while messages flow: each part killed, and frozen for longer than a lease."""

import asyncio
import random
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.ledger.refusals import Refusals
from bench.ledger.stores import Part
from tests.support.processes import Processes, answers

DOWN_SECONDS, READY_SECONDS, SUPERVISED_SECONDS = 1.0, 90.0, 0.5


@dataclass(frozen=True)
class Fault:
    """`how` is "kill" or "freeze"."""

    name: str
    how: str

    def __str__(self) -> str:
        return f"{self.how} {self.name}"


class Harm:
    """Does one fault at a time, and starts services that ended by themselves, as a cluster does."""

    def __init__(
        self, platform: Processes, stores: Mapping[str, Part], refusals: Refusals, frozen_seconds: float
    ) -> None:
        self._platform, self._refusals, self._frozen_seconds = platform, refusals, frozen_seconds
        self._parts: dict[str, Part] = {**platform.services, **stores}
        self._in_hand = ""
        self.restarted: list[str] = []

    def plan(self, rng: random.Random, kills: int, freezes: int) -> list[Fault]:
        faults = [Fault(name, "kill") for name in self._parts] * kills
        faults += [Fault(name, "freeze") for name in self._parts] * freezes
        rng.shuffle(faults)
        return faults

    async def do(self, fault: Fault) -> None:
        """Returns when the part is back and every service is ready again. Raises TimeoutError when they are not."""
        self._in_hand = fault.name
        part = self._parts[fault.name]
        await self._refusals.read()
        try:
            await (self._kill(part) if fault.how == "kill" else self._freeze(part))
        finally:
            self._in_hand = ""
        await self._until(self._all_ready)

    async def supervise(self) -> None:
        while True:
            await asyncio.sleep(SUPERVISED_SECONDS)
            for name, service in self._platform.services.items():
                if name != self._in_hand and not service.running:
                    self.restarted.append(name)
                    await asyncio.to_thread(service.start)

    async def _kill(self, part: Part) -> None:
        await asyncio.to_thread(part.kill)
        await asyncio.sleep(DOWN_SECONDS)
        await asyncio.to_thread(part.start)

    async def _freeze(self, part: Part) -> None:
        await asyncio.to_thread(part.pause)
        try:
            await asyncio.sleep(self._frozen_seconds)
        finally:
            await asyncio.to_thread(part.resume)

    def _all_ready(self) -> bool:
        return all(ready(self._platform.readyz_of(name)) for name in self._platform.services)

    async def _until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(READY_SECONDS):
            while not await asyncio.to_thread(check):
                await asyncio.sleep(0.2)


def ready(url: str) -> bool:
    try:
        return answers(url)
    except (urllib.error.URLError, OSError):
        return False
