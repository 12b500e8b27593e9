"""Counts of what auth decides."""

from thinghub.auth.domain.devices import Verdict
from thinghub.common.metrics import Metrics


class CountedOutcomes:
    """Implements `Outcomes`."""

    def __init__(self, metrics: Metrics) -> None:
        self._verdicts = metrics.counter("device_verdicts", "Device proofs by verdict", ("verdict",))
        self._lookups = metrics.counter("credential_lookups", "Device credentials by where found", ("source",))

    def judged(self, verdict: Verdict, count: int) -> None:
        self._verdicts.labels(verdict.value).inc(count)

    def looked_up(self, cached: int, stored: int, unavailable: int) -> None:
        for source, count in (("cache", cached), ("store", stored), ("unavailable", unavailable)):
            if count:
                self._lookups.labels(source).inc(count)
