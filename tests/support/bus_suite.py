"""What tests of the bus share: buses of both kinds, a handler that remembers, a member in a process of its own."""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from tests.support.child import Child
from thinghub.common.bus.kafka import KafkaBus
from thinghub.common.bus.port import Bus, BusRecord
from thinghub.common.bus.streams import StreamsBus

PATIENCE = 45.0
# A foreign broker may refuse less than 6 s; ours is told to accept it.
SESSION_SECONDS = 6.0 if os.environ.get("KAFKA_BOOTSTRAP") else 1.5
GROUP = "readers"


def make_bus(url: str, prefix: str, **options: Any) -> Bus:  # Any: the adapters' own keyword arguments
    log = logging.getLogger("thinghub.test.bus")
    options.setdefault("session_seconds", SESSION_SECONDS)
    if url.startswith("kafka://"):
        return KafkaBus(url.removeprefix("kafka://").split(","), prefix, log, **options)
    return StreamsBus(url.removeprefix("streams+"), prefix, log, **options)


class Seen:
    """A handler that keeps what it was given."""

    def __init__(self) -> None:
        self.records: list[BusRecord] = []

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        self.records.extend(records)

    @property
    def values(self) -> list[bytes]:
        return [record.value for record in self.records]

    def of(self, partition: int) -> list[bytes]:
        return [record.value for record in self.records if record.partition == partition]


@contextlib.asynccontextmanager
async def running(*works: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Readers that are cancelled, and awaited, at the end; none may have ended before."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended


async def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Waits for a condition; how long it takes decides nothing, only that it comes."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def lag_is(bus: Bus, topic: str, expected: int, group: str = GROUP) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await bus.lag(group, [topic]))[topic] != expected:
            await asyncio.sleep(0.05)


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


async def publish_all(bus: Bus, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
    await asyncio.gather(*(bus.publish(topic, partition, value) for value in values))


class Answers:
    """What `done` was called with, by number; a second call for one number is an error of the bus."""

    def __init__(self) -> None:
        self.by_number: dict[int, BaseException | None] = {}
        self.twice: list[int] = []

    def of(self, number: int) -> Callable[[BaseException | None], None]:
        def done(error: BaseException | None) -> None:
            if number in self.by_number:
                self.twice.append(number)
            self.by_number[number] = error

        return done

    @property
    def stored(self) -> list[int]:
        return [number for number, error in self.by_number.items() if error is None]


class Member:
    """A consumer in a process of its own. It notes each record it begins and each it finishes; at the value `gate` it
    waits until `open_gate`."""

    def __init__(self, folder: Path, name: str, url: str, prefix: str, topic: str) -> None:
        self._path = folder / name
        command = [sys.executable, "-m", "tests.support.bus_member", url, prefix, topic, str(self._path)]
        self.child = Child(command, folder / f"{name}.log", {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})

    @property
    def begun(self) -> list[bytes]:
        return self._lines(".begun")

    @property
    def finished(self) -> list[bytes]:
        return self._lines(".finished")

    def open_gate(self) -> None:
        self._path.with_suffix(".gate").touch()

    def _lines(self, suffix: str) -> list[bytes]:
        path = self._path.with_suffix(suffix)
        return path.read_bytes().split() if path.exists() else []
