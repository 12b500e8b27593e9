"""What is counted and traced of documents."""

from collections import Counter as Tally
from collections.abc import Mapping
from contextlib import ExitStack

from thinghub.common.metrics import Metrics
from thinghub.common.tracing import Tracing

__all__ = ["DocumentObservation", "Tally"]


class DocumentObservation:
    def __init__(self, metrics: Metrics, tracing: Tracing) -> None:
        self._tracing = tracing
        self._requests = metrics.counter(
            "document_requests_total", "Requests of devices and servers, by what became of them.", ("outcome",)
        )
        self._downlinks = metrics.counter(
            "document_downlinks_total", "Replies and controls, by what became of them.", ("outcome",)
        )
        self._conflicts = metrics.counter("document_conflicts_total", "Writes that had to be made once more.")
        self._malformed = metrics.counter("document_malformed_total", "Bus records and statuses that are none.")

    def requests(self, outcomes: Mapping[str, int]) -> None:
        for outcome, count in outcomes.items():
            self._requests.labels(outcome).inc(count)

    def downlinks(self, outcomes: Mapping[str, int]) -> None:
        for outcome, count in outcomes.items():
            self._downlinks.labels(outcome).inc(count)

    def conflicts(self, count: int) -> None:
        self._conflicts.inc(count)

    def malformed(self, count: int) -> None:
        self._malformed.inc(count)

    def spans(self, traceparents: list[str], batch: int) -> ExitStack:
        """A span a sampled message, around the batch it is in."""
        stack = ExitStack()
        for traceparent in traceparents:
            stack.enter_context(self._tracing.span("shadow document", traceparent, {"batch": batch}))
        return stack
