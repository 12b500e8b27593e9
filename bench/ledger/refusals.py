"""Publishes that gateways refused by policy (permission, quota), summed over all lives of all gateways."""

import asyncio
import re
import urllib.request

from tests.support.processes import Processes

REFUSED = re.compile(
    r'^thinghub_connection_gateway_core_refused_publish_total\{[^}]*reason="(\w+)"[^}]*\} ([0-9.e+]+)$'
)


class Refusals:
    """`by_reason` is the sum of the last figures read of each process. What a process refused after its last reading
    and before it was killed is missed, so it is read every second and before each fault."""

    def __init__(self, platform: Processes) -> None:
        self._platform = platform
        self._last: dict[tuple[int, str], float] = {}

    @property
    def by_reason(self) -> dict[str, int]:
        sums: dict[str, int] = {}
        for (_, reason), count in self._last.items():
            sums[reason] = sums.get(reason, 0) + int(count)
        return {reason: count for reason, count in sums.items() if count}

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(1)
            await self.read()

    async def read(self) -> None:
        for name in self._platform.mqtt_of:
            pid = self._platform.services[name].pid
            page = await asyncio.to_thread(fetched, self._platform.metrics_of(name))
            for line in page.splitlines():
                if found := REFUSED.match(line):
                    self._last[pid, found[1]] = float(found[2])


def fetched(url: str) -> str:
    """Empty when the process does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""
