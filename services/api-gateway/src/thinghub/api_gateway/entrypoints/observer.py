"""Counts and traces calls, by operation and outcome; both faces use it.

A caller's `traceparent` is followed only where the settings trust it: it would let anybody have every call traced.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from thinghub.api_gateway.errors import SERVICE_UNAVAILABLE, SYSTEM_EXCEPTION, Refused
from thinghub.common.runtime import Runtime

UNKNOWN = "unknown"
OURS = frozenset({SERVICE_UNAVAILABLE, SYSTEM_EXCEPTION})


class Observation:
    """One call: the face sets the action when it knows it."""

    def __init__(self) -> None:
        self.action = UNKNOWN
        self.outcome = "ok"


class Observer:
    def __init__(self, runtime: Runtime, trust_traceparent: bool = False) -> None:
        self._trust_traceparent = trust_traceparent
        self._tracing = runtime.tracing
        self._calls = runtime.metrics.counter(
            "calls", "API calls by face, action and outcome (ok, refused, failed)", ("face", "action", "outcome")
        )
        self._refusals = runtime.metrics.counter("refusals", "Refused API calls by public code", ("code",))
        self._seconds = runtime.metrics.histogram("call_seconds", "Duration of API calls", ("action",))

    @contextmanager
    def call(self, face: str, traceparent: str = "") -> Iterator[Observation]:
        """Counts what happens inside; a Refused that passes through is an outcome."""
        seen = Observation()
        begun = time.perf_counter()
        with self._tracing.span(
            "api-gateway call", traceparent if self._trust_traceparent else "", {"face": face}
        ) as span:
            try:
                yield seen
            except Refused as refused:
                seen.outcome = "failed" if refused.code in OURS else "refused"
                self._refusals.labels(refused.code).inc()
                span.set("code", refused.code)
                raise
            finally:
                span.set("action", seen.action)
                self._calls.labels(face, seen.action, seen.outcome).inc()
                self._seconds.labels(seen.action).observe(time.perf_counter() - begun)
