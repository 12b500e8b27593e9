"""What is counted and traced of thing data."""

from collections import Counter as Tally
from collections.abc import Mapping
from contextlib import ExitStack

from thinghub.common.metrics import Metrics
from thinghub.common.tracing import Tracing

__all__ = ["Tally", "ThingObservation"]


class ThingObservation:
    def __init__(self, metrics: Metrics, tracing: Tracing) -> None:
        self._tracing = tracing
        self._posts = metrics.counter("thing_posts_total", "Posts of devices, by what became of them.", ("outcome",))
        self._replies = metrics.counter("thing_replies_total", "Replies, by what became of them.", ("outcome",))
        self._desired = metrics.counter(
            "thing_desired_sent_total", "Desired properties sent to devices, by what became of them.", ("outcome",)
        )
        self._calls = metrics.counter(
            "thing_calls_total", "Property sets and service calls of servers, by what became of them.", ("outcome",)
        )

    def posts(self, outcomes: Mapping[str, int]) -> None:
        for outcome, count in outcomes.items():
            self._posts.labels(outcome).inc(count)

    def replies(self, outcomes: Mapping[str, int]) -> None:
        for outcome, count in outcomes.items():
            self._replies.labels(outcome).inc(count)

    def desired(self, outcomes: Mapping[str, int]) -> None:
        for outcome, count in outcomes.items():
            self._desired.labels(outcome).inc(count)

    def calls(self, outcomes: Mapping[str, int]) -> None:
        for outcome, count in outcomes.items():
            self._calls.labels(outcome).inc(count)

    def spans(self, traceparents: list[str], batch: int) -> ExitStack:
        """A span a sampled message, around the batch it is in."""
        stack = ExitStack()
        for traceparent in traceparents:
            stack.enter_context(self._tracing.span("shadow thing", traceparent, {"batch": batch}))
        return stack
