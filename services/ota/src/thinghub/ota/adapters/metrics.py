"""Counts of what devices say and are told."""

from thinghub.common.metrics import Metrics


class CountedOta:
    """Implements `Counts`."""

    def __init__(self, metrics: Metrics) -> None:
        self._reports = metrics.counter("reports", "Messages of devices by what they are", ("what",))
        self._pushes = metrics.counter("pushes", "Upgrade messages to devices by outcome", ("outcome",))

    def reports(self, what: str, number: int = 1) -> None:
        self._reports.labels(what).inc(number)

    def pushes(self, outcome: str, number: int) -> None:
        self._pushes.labels(outcome).inc(number)
