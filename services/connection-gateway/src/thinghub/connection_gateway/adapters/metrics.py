"""Figures of the Python side; the connection plane's own are in adapters/core.py."""

from collections.abc import Callable, Mapping

from thinghub.common.metrics import Metrics
from thinghub.connection_gateway.ports import Count


def event_counter(metrics: Metrics) -> Count:
    """Counts events by name; the names are ours, never a device's."""
    events = metrics.counter("events_total", "What happened, by name.", ("event",))
    return lambda event: events.labels(event).inc()


def watch_queues(metrics: Metrics, queues: Mapping[str, Callable[[], int]]) -> None:
    """A gauge of what waits, by queue."""
    gauge = metrics.gauge("waiting", "What waits in a bounded queue.", ("queue",))
    for name, length in queues.items():
        gauge.labels(name).set_function(length)
