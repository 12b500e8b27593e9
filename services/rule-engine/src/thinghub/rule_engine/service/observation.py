"""What the rule engine counts and traces. Counts of a batch are collected in a `Tally` and added once."""

from collections import Counter as Tally
from contextlib import ExitStack

from thinghub.common.metrics import Metrics
from thinghub.common.tracing import Tracing
from thinghub.rule_engine.domain.outputs import Output

__all__ = ["Observation", "Tally"]


class Observation:
    def __init__(self, metrics: Metrics, tracing: Tracing) -> None:
        self.tracing = tracing
        self._messages = metrics.counter(
            "messages_total", "Messages read from the bus, by what they were.", ("outcome",)
        )
        self._evaluations = metrics.counter("evaluations_total", "Rules evaluated, by what came out.", ("outcome",))
        self._results = metrics.counter(
            "action_results_total", "Outputs by the type of their action and what became of them.", ("type", "outcome")
        )
        self._batches = metrics.histogram("sink_seconds", "Seconds of one batch in a sink.", ("type",))
        self.waiting = metrics.gauge("retry_waiting_records", "Records waiting for another try.", ("place",))
        self.circuits = metrics.gauge("open_circuits", "Actions of this process whose sink is away.", ("type",))
        self.running = metrics.gauge("running_rules", "Rules this process evaluates.")
        self.broken = metrics.gauge("broken_rules", "Running rules that cannot be evaluated.")

    def messages(self, tally: "Tally[str]") -> None:
        for outcome, count in tally.items():
            self._messages.labels(outcome).inc(count)

    def evaluations(self, tally: "Tally[str]") -> None:
        for outcome, count in tally.items():
            self._evaluations.labels(outcome).inc(count)

    def results(self, type: str, outcome: str, count: int) -> None:
        if count:
            self._results.labels(type, outcome).inc(count)

    def batch(self, type: str, seconds: float) -> None:
        self._batches.labels(type).observe(seconds)

    def sink_spans(self, type: str, outputs: list[Output]) -> ExitStack:
        """A span a sampled output, around the batch it is in."""
        spans = ExitStack()
        for output in outputs:
            if output.origin.traceparent:
                attributes: dict[str, str | int] = {"type": type, "action": output.action_id, "batch": len(outputs)}
                spans.enter_context(self.tracing.span("rule-engine sink", output.origin.traceparent, attributes))
        return spans
