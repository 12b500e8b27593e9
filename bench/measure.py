"""CPU seconds of processes over a span of work, and the spread of several runs."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Spread:
    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.1f} ({self.low:.1f}-{self.high:.1f})"


def spread(values: list[float]) -> Spread:
    return Spread(min(values), statistics.median(values), max(values))


class CpuClock:
    """User plus system seconds of each named process and its children, since the last `restart`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._start: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        self._start = {name: cpu_seconds(process) for name, process in self._processes.items()}

    def seconds(self) -> dict[str, float]:
        return {name: cpu_seconds(process) - self._start[name] for name, process in self._processes.items()}


def cpu_seconds(process: psutil.Process) -> float:
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        times = one.cpu_times()
        total += times.user + times.system
    return total
