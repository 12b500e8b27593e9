"""Prometheus metrics: one registry a process, one prefix a service, bounded label values.

A label fed by devices or callers (a reason, a topic, a product) could have as many values as there are attackers: each
label keeps its first 100 values, each metric its first 1,000 combinations, and the rest is counted as "other".
"""

from collections.abc import Sequence
from typing import Any, Self, TypeVar

import prometheus_client
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics import MetricWrapperBase

MAX_VALUES = 100
MAX_COMBINATIONS = 1000
OTHER = "other"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

MetricT = TypeVar("MetricT", bound=MetricWrapperBase)


class _Bounded:
    """Mixed into prometheus_client's metrics: `labels` folds what is over the bounds into "other"."""

    _labelnames: Sequence[str]

    def labels(self, *values: Any, **named: Any) -> Self:  # Any: prometheus_client takes whatever str() takes
        if named and not values:
            values = tuple(named[name] for name in self._labelnames)
        seen = self.__dict__.setdefault("_seen", ([set() for _ in self._labelnames], set()))
        bounded = tuple(_bound(str(value), known) for value, known in zip(values, seen[0], strict=True))
        if bounded not in seen[1]:
            if len(seen[1]) >= MAX_COMBINATIONS:
                bounded = (OTHER,) * len(bounded)
            seen[1].add(bounded)
        return super().labels(*bounded)  # type: ignore[misc, no-any-return]  # the metric class comes after us


class Counter(_Bounded, prometheus_client.Counter):
    """Counts up: `.inc(n)`, with labels `.labels("x").inc(n)`."""


class Gauge(_Bounded, prometheus_client.Gauge):
    """Goes up and down: `.set(x)`, `.inc()`, `.dec()`, `.set_function(f)`."""


class Histogram(_Bounded, prometheus_client.Histogram):
    """Distribution: `.observe(seconds)`."""


class Metrics:
    """Makes the metrics of one service. Asking for the same name again gives the same metric."""

    def __init__(self, service: str, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._prefix = f"thinghub_{service.replace('-', '_')}_"
        self._made: dict[str, MetricWrapperBase] = {}

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        return self._make(Counter, name, help, labels)

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Gauge:
        return self._make(Gauge, name, help, labels)

    def histogram(
        self, name: str, help: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        return self._make(Histogram, name, help, labels, buckets=tuple(buckets))

    def _make(
        self, kind: type[MetricT], name: str, help: str, labels: Sequence[str], **more: tuple[float, ...]
    ) -> MetricT:
        made = self._made.get(name)
        if made is None:
            made = kind(self._prefix + name, help, tuple(labels), registry=self.registry, **more)  # type: ignore[arg-type]
            self._made[name] = made
        if not isinstance(made, kind):
            raise ValueError(f"{name} is a {type(made).__name__} already")
        return made


def process_registry() -> CollectorRegistry:
    """A registry with the process's own figures (CPU, memory, descriptors, garbage collector)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _bound(value: str, known: set[str]) -> str:
    if value in known:
        return value
    if len(known) >= MAX_VALUES - 1 and value != OTHER:
        return OTHER
    known.add(value)
    return value
