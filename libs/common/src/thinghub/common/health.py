"""Health: which parts a process needs, which of them work, and since when.

A service registers a component for each part it talks to; the component starts not-ok. A process is ready when each of
its services has registered its components and all required ones are ok; one that is not required (a database that a
service lives without for a while) is shown and logged, and does not make the process not-ready.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Never

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from thinghub.common.errors import Fault

WATCH_SECONDS = 2.0
FAILING_SECONDS = 0.5


class Component:
    """One part of one service. Only changes are logged, once each."""

    def __init__(self, service: str, name: str, required: bool, changed: Callable[[], None]) -> None:
        self.service = service
        self.name = name
        self.required = required
        self.is_ok = False
        self.why = "starting"
        self.since = time.time()
        self._changed = changed
        self._log = logging.getLogger(f"thinghub.{service.replace('-', '_')}")

    def ok(self) -> None:
        if self.is_ok:
            return
        self._turn(True, "")
        self._log.info("%s is ok", self.name)

    def fail(self, why: str) -> None:
        """`why` is a sentence for the operator; a new reason while it already fails is kept but not logged again."""
        if not self.is_ok and self.why != "starting":
            self.why = why
            return
        self._turn(False, why)
        self._log.warning("%s failed: %s", self.name, why)

    async def watch(self, ping: Callable[[], Awaitable[None]], pause: float = WATCH_SECONDS) -> Never:
        """Asks until cancelled; ok as long as `ping` returns, failed when it raises a Fault. `ping` has its own
        deadline."""
        while True:
            try:
                await ping()
                self.ok()
            except Fault as fault:
                self.fail(fault.message)
            await asyncio.sleep(pause if self.is_ok else min(pause, FAILING_SECONDS))

    def _turn(self, is_ok: bool, why: str) -> None:
        self.is_ok, self.why, self.since = is_ok, why, time.time()
        self._changed()


class Health(Collector):
    """One per process, shared by its services; also a Prometheus collector (`thinghub_component_ok`)."""

    def __init__(self) -> None:
        self._components: dict[tuple[str, str], Component] = {}
        self._expected: set[str] = set()
        self._waiting: set[asyncio.Event] = set()

    def expect(self, service: str) -> None:
        """The process is not ready before this service has registered a component."""
        self._expected.add(service)

    def component(self, service: str, name: str, required: bool = True) -> Component:
        """The component of that name, made on first use."""
        made = self._components.get((service, name))
        if made is None:
            made = self._components[service, name] = Component(service, name, required, self._wake)
        return made

    def ready(self) -> bool:
        registered = {service for service, _ in self._components}
        required_ok = all(part.is_ok for part in self._components.values() if part.required)
        return bool(registered) and self._expected <= registered and required_ok

    def report(self) -> dict[str, object]:
        """Plain values for JSON: `ready`, `not_ready` (names of the required parts that fail) and every component."""
        parts = list(self._components.values())
        missing = sorted(self._expected - {part.service for part in parts})
        failing = [f"{part.service}/{part.name}" for part in parts if part.required and not part.is_ok]
        return {
            "ready": self.ready(),
            "not_ready": failing + [f"{service}/starting" for service in missing],
            "components": [
                {
                    "service": part.service,
                    "name": part.name,
                    "required": part.required,
                    "ok": part.is_ok,
                    "why": part.why,
                    "since": round(part.since, 3),
                }
                for part in parts
            ],
        }

    async def wait_ready(self) -> None:
        """Returns when everything is ready; the caller sets the deadline."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            while not self.ready():
                event.clear()
                await event.wait()
        finally:
            self._waiting.discard(event)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "thinghub_component_ok", "1 when a part of a service works", labels=("service", "component")
        )
        for part in list(self._components.values()):
            family.add_metric((part.service, part.name), float(part.is_ok))
        yield family

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()
