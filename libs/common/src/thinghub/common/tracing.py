"""Sampled traces (OpenTelemetry), with no cost for what is not sampled.

A span costs about 17 us, a message a few: so only what was chosen is traced. The choice is made once, where a trace
begins (the configured ratio, or the sampled flag of a caller's W3C `traceparent`), and everybody below follows it.

The native core hands out traceparents for sampled messages before any Python span exists; `Tracing.root` later creates
the span with exactly those ids.
"""

import random
import re
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Literal, Self

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

Attributes = Mapping[str, str | int]

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_current: ContextVar["Span | None"] = ContextVar("thinghub_span", default=None)
_ids: ContextVar[tuple[int, int] | None] = ContextVar("thinghub_span_ids", default=None)


class Span(AbstractContextManager["Span"]):
    """What a traced piece of work may say about itself. This one is not sampled: every method does nothing."""

    traceparent = ""
    trace_id = ""
    sampled = False

    def set(self, name: str, value: str | int) -> None:
        """Sets an attribute."""

    def event(self, name: str, attributes: Attributes | None = None) -> None:
        """Notes a moment."""

    def fail(self, why: str) -> None:
        """Marks the work as failed."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> Literal[False]:
        return False


class _Unchosen(Span):
    """A root that the ratio left out: current while it lasts, so that nothing below it draws lots again."""

    def __init__(self) -> None:
        self._token: Token[Span | None] | None = None

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> Literal[False]:
        if self._token is not None:
            _current.reset(self._token)
        return False


class _Recorded(Span):
    sampled = True

    def __init__(self, tracing: "Tracing", span: trace.Span) -> None:
        self.tracing = tracing
        self._span = span
        context = span.get_span_context()
        self.trace_id = f"{context.trace_id:032x}"
        self.traceparent = f"00-{self.trace_id}-{context.span_id:016x}-01"
        self._token: Token[Span | None] | None = None

    def set(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def event(self, name: str, attributes: Attributes | None = None) -> None:
        self._span.add_event(name, dict(attributes or {}))

    def fail(self, why: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, why))

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> Literal[False]:
        if self._token is not None:
            _current.reset(self._token)
        if error is not None:
            self.fail(type(error).__name__)
        self._span.end()
        return False


NO_SPAN = Span()


def current() -> Span:
    """The span this task is in; the shared empty one outside of any."""
    return _current.get() or NO_SPAN


def below(name: str, attributes: Attributes | None = None) -> AbstractContextManager[Span]:
    """A span below the current one, by whoever traces it; the empty span when the current one is not sampled."""
    here = _current.get()
    return here.tracing.span(name, attributes=attributes) if isinstance(here, _Recorded) else NO_SPAN


def is_sampled(traceparent: str) -> bool:
    """True when this is a well-formed W3C traceparent whose sampled flag is set."""
    return _parse(traceparent) is not None


class Tracing:
    """The spans of one service. `ratio` is the share of roots that are traced when nobody decided before."""

    def __init__(self, service: str, ratio: float = 0.0, exporter: SpanExporter | None = None) -> None:
        self._ratio = ratio
        self._memory = exporter if isinstance(exporter, InMemorySpanExporter) else None
        self._provider: TracerProvider | None = None
        if exporter is None:
            return
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({"service.name": service, "service.namespace": "thinghub"}),
            id_generator=_GivenIds(),
            shutdown_on_exit=False,
        )
        simple = self._memory is not None
        self._provider.add_span_processor(SimpleSpanProcessor(exporter) if simple else BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("thinghub")

    @classmethod
    def memory(cls, service: str = "test", ratio: float = 0.0) -> "Tracing":
        """Keeps its spans, for tests: `finished()`."""
        return cls(service, ratio, InMemorySpanExporter())

    @classmethod
    def exporting(cls, service: str, ratio: float, otlp_endpoint: str) -> "Tracing":
        """Sends spans in the background to an OTLP gRPC collector; none and no cost when the endpoint is empty."""
        if not otlp_endpoint:
            return cls(service)
        # imported only when it is used: it costs a quarter of a second
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        insecure = not otlp_endpoint.startswith("https://")
        return cls(service, ratio, OTLPSpanExporter(endpoint=otlp_endpoint, insecure=insecure, timeout=2))

    def finished(self) -> tuple[ReadableSpan, ...]:
        """The spans ended so far, oldest first; only for `memory()`."""
        return self._memory.get_finished_spans() if self._memory else ()

    def span(
        self, name: str, parent: str = "", attributes: Attributes | None = None, *, start_ms: int = 0
    ) -> AbstractContextManager[Span]:
        """A span below `parent` (a W3C traceparent) or below the current span; a new root by the ratio when there is
        neither. Not sampled: the shared empty span. `start_ms` is Unix time; 0 is now."""
        if self._provider is None:
            return NO_SPAN
        if parent:
            above = _parse(parent)
            return NO_SPAN if above is None else self._start(name, above, attributes, start_ms)
        here = _current.get()
        if here is not None:
            inherited = _parse(here.traceparent)
            return NO_SPAN if inherited is None else self._start(name, inherited, attributes, start_ms)
        if self._ratio <= 0.0:
            return NO_SPAN
        if random.random() >= self._ratio:
            return _Unchosen()
        return self._start(name, None, attributes, start_ms)

    def root(
        self, name: str, traceparent: str, start_ms: int, attributes: Attributes | None = None
    ) -> AbstractContextManager[Span]:
        """The root span whose own trace id and span id were handed out before, as `traceparent`; it began at `start_ms`
        (Unix time) and ends with the context. Not sampled or malformed: the empty span."""
        given = _parse(traceparent)
        if given is None or self._provider is None:
            return NO_SPAN
        token = _ids.set((given.trace_id, given.span_id))
        try:
            return self._start(name, None, attributes, start_ms)
        finally:
            _ids.reset(token)

    def close(self, seconds: float = 2.0) -> None:
        """Sends what is left; blocks at most about that long."""
        if self._provider is not None:
            self._provider.force_flush(int(seconds * 1000))
            self._provider.shutdown()

    def _start(self, name: str, above: SpanContext | None, attributes: Attributes | None, start_ms: int) -> _Recorded:
        parent = trace.set_span_in_context(NonRecordingSpan(above) if above else trace.INVALID_SPAN)
        start = start_ms * 1_000_000 if start_ms else time.time_ns()
        return _Recorded(self, self._tracer.start_span(name, parent, attributes=attributes, start_time=start))


class _GivenIds(IdGenerator):
    """Random ids, except while `root` dictates them."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        given = _ids.get()
        return given[0] if given else self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        given = _ids.get()
        return given[1] if given else self._random.generate_span_id()


def _parse(traceparent: str) -> SpanContext | None:
    """The context of a sampled W3C traceparent (Trace Context §3.2); None for everything else."""
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5]):
        return None
    trace_id, span_id, flags = int(match[2], 16), int(match[3], 16), int(match[4], 16)
    if not (flags & 1 and trace_id and span_id):
        return None
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


__all__ = ["NO_SPAN", "Attributes", "Span", "Tracing", "below", "current", "is_sampled"]
