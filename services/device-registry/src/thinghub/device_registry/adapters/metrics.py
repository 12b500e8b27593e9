"""Counts of the status projection."""

from thinghub.common.metrics import Metrics


class CountedStatuses:
    """Implements `Counts`."""

    def __init__(self, metrics: Metrics) -> None:
        self._statuses = metrics.counter("statuses", "Device statuses by what became of them", ("outcome",))

    def applied(self, took_effect: int, ignored: int) -> None:
        self._statuses.labels("applied").inc(took_effect)
        self._statuses.labels("behind_or_unknown").inc(ignored)

    def swept(self, compared: int, repaired: int) -> None:
        self._statuses.labels("compared").inc(compared)
        self._statuses.labels("repaired").inc(repaired)

    def malformed(self, count: int) -> None:
        self._statuses.labels("malformed").inc(count)
