"""Metrics: names, bounds, one registry."""

import pytest
from prometheus_client import generate_latest
from prometheus_client.samples import Sample

from thinghub.common.metrics import MAX_COMBINATIONS, MAX_VALUES, Metrics, process_registry


def test_names_carry_the_service() -> None:
    metrics = Metrics("rule-engine")
    metrics.counter("rows_total", "Rows.").inc(3)
    assert "thinghub_rule_engine_rows_total 3.0" in generate_latest(metrics.registry).decode()


def test_services_share_a_registry_and_a_name_is_made_once() -> None:
    registry = process_registry()
    one, other = Metrics("auth", registry), Metrics("rule-engine", registry)
    assert one.counter("calls_total", "Calls.", ("method",)) is one.counter("calls_total", "Calls.", ("method",))
    other.counter("calls_total", "Calls.", ("method",)).labels(method="a").inc()
    text = generate_latest(registry).decode()
    assert "thinghub_rule_engine_calls_total" in text
    assert "process_cpu_seconds_total" in text
    with pytest.raises(ValueError, match="calls_total"):
        one.gauge("calls_total", "Calls.")


def test_values_of_a_label_beyond_the_bound_are_other() -> None:
    metrics = Metrics("x")
    counter = metrics.counter("refused_total", "Refused.", ("reason",))
    for number in range(10 * MAX_VALUES):
        counter.labels(f"reason {number}").inc()
    counter.labels("reason 0").inc()
    samples = [
        sample for family in metrics.registry.collect() for sample in family.samples if sample.name.endswith("_total")
    ]
    assert len(samples) == MAX_VALUES
    by_reason = {sample.labels["reason"]: sample.value for sample in samples}
    assert by_reason["other"] == 10 * MAX_VALUES - (MAX_VALUES - 1)
    assert by_reason["reason 0"] == 2


def test_combinations_are_bounded_too() -> None:
    metrics = Metrics("x")
    histogram = metrics.histogram("seconds", "Time.", ("a", "b"), buckets=(0.1, 1))
    for number in range(10_000):
        histogram.labels(a=number % 90, b=number // 90 % 90).observe(0.5)
    counts = [
        sample for family in metrics.registry.collect() for sample in family.samples if sample.name.endswith("_count")
    ]
    assert len(counts) <= MAX_COMBINATIONS + 1
    assert sum(sample.value for sample in counts) == 10_000


def test_gauges_take_functions() -> None:
    metrics = Metrics("x")
    metrics.gauge("open", "Open.").set_function(lambda: 7)
    metrics.gauge("by_part", "Open.", ("part",)).labels("a").set(3)
    text = generate_latest(metrics.registry).decode()
    assert "thinghub_x_open 7.0" in text
    assert 'thinghub_x_by_part{part="a"} 3.0' in text


def _samples(metrics: Metrics, ending: str) -> list[Sample]:
    found = [sample for family in metrics.registry.collect() for sample in family.samples]
    return [sample for sample in found if sample.name.endswith(ending)]
