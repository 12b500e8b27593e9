"""Counts of what devices say and are told, and of packages that come and go."""

from thinghub.common.metrics import Metrics


class CountedOta:
    """Implements `Counts`."""

    def __init__(self, metrics: Metrics) -> None:
        self._reports = metrics.counter("reports", "Messages of devices by what they are", ("what",))
        self._pushes = metrics.counter("pushes", "Upgrade messages to devices by outcome", ("outcome",))
        self._transfers = metrics.counter(
            "transfers", "Uploads and downloads of packages by outcome", ("what", "outcome")
        )

    def reports(self, what: str, number: int = 1) -> None:
        self._reports.labels(what).inc(number)

    def pushes(self, outcome: str, number: int) -> None:
        self._pushes.labels(outcome).inc(number)

    def transfers(self, what: str, outcome: str) -> None:
        self._transfers.labels(what, outcome).inc()
