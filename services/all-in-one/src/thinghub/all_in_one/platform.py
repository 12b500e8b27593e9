"""The platform in this process: embedded parts, then bus topics, then every target's service, until cancelled.

    data directory lock > certificates, keys > Redis, PostgreSQL > topics > services > Ready > (demo)

Everything stops in the reverse order. A second Ctrl-C during that ends the children and us at once.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from thinghub.all_in_one import endpoints, wiring
from thinghub.all_in_one.embedded import certificates, keys, parts
from thinghub.all_in_one.embedded.places import Places
from thinghub.all_in_one.errors import CannotRun
from thinghub.all_in_one.options import Options
from thinghub.all_in_one.targets import Target
from thinghub.cli.admin import create_topics
from thinghub.common.runtime import Process, Runtime
from thinghub.common.settings import ServiceSettings

READY_SECONDS = 60.0

log = logging.getLogger("thinghub.all_in_one")

Say = Callable[[str], None]
Afterwards = Callable[[dict[str, str | int]], Awaitable[None]]


@dataclass(frozen=True)
class Hosted:
    """A target with its settings and what the process gives it."""

    target: Target
    settings: ServiceSettings
    runtime: Runtime


class Platform:
    """`say` gets a sentence for each step; `afterwards` runs beside the services once they are ready."""

    def __init__(self, process: Process, options: Options, places: Places, targets: list[Target]) -> None:
        self._process = process
        self._options = options
        self._places = places
        self._own = process.runtime("all-in-one")
        self._own_part = self._own.health.component("all-in-one", "start")
        self._targets = targets

    async def run(self, say: Say, afterwards: Afterwards | None = None) -> None:
        """Until cancelled. Raises CannotRun, or what ended a service."""
        begun = time.monotonic()
        files = certificates.ensure(self._places.tls, (self._options.host,))
        master_key, access_key = keys.ensure_master_key(self._places), keys.ensure_access_key(self._places)
        wired = wiring.settings(self._options, self._places, files, master_key, access_key)
        hosted = [Hosted(each, wired[each.name], self._process.runtime(each.name)) for each in self._targets]
        say("starting Redis and PostgreSQL")
        async with parts.running(self._places) as embedded:
            try:
                shared = hosted[0].settings
                await create_topics(shared.bus_url, shared.bus_prefix, self._own)
                say(f"starting {', '.join(each.name for each in self._targets)}")
                async with asyncio.TaskGroup() as tasks:
                    for each in hosted:
                        tasks.create_task(self._process.serve(each.target.serve, each.settings, each.runtime))
                    tasks.create_task(_when_stopping(embedded, say))
                    self._own_part.ok()
                    await self._ready()
                    written = endpoints.write(self._places, self._options, access_key, wiring.environment(wired))
                    say(_ready_line(written, self._places, time.monotonic() - begun))
                    if afterwards:
                        tasks.create_task(_as_coroutine(afterwards, written))
            finally:
                endpoints.remove(self._places)

    async def _ready(self) -> None:
        try:
            await asyncio.wait_for(self._own.health.wait_ready(), READY_SECONDS)
        except TimeoutError:
            missing = self._own.health.report().get("not_ready")
            raise CannotRun(f"Not ready after {READY_SECONDS:.0f} s: {missing}; the log says more.") from None


def _ready_line(written: dict[str, str | int], places: Places, seconds: float) -> str:
    addresses = " · ".join(f"{name} {written[name]}" for name in ("mqtt", "mqtts", "api", "metrics"))
    return f"Ready in {seconds:.1f} s · {addresses} · access key and CA in {places.endpoints}"


async def _as_coroutine(afterwards: Afterwards, written: dict[str, str | int]) -> None:
    await afterwards(written)


async def _when_stopping(embedded: parts.Parts, say: Say) -> None:
    """From the moment the stop begins, another Ctrl-C takes the children along."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, signal.raise_signal, signal.SIGTERM)  # the terminal was closed
    try:
        await loop.create_future()
    finally:
        say("stopping (Ctrl-C again: at once)")
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _at_once, embedded)


def _at_once(embedded: parts.Parts) -> None:
    embedded.kill()
    os._exit(130)
