"""Evaluating rules, without a bus or a sink: records in, outputs out, in one process on one core.

    python -m bench.rules [--seconds 2] [--runs 3] [--messages 500]

A case is a set of rules that look at every message of a record. What is measured is what the rule engine does to a
record between reading and handing on: decoding it, finding each message's rules, parsing its JSON once, evaluating.
Rates are by CPU seconds of this process, so that a busy machine does not change them; the wall clock stands beside
them. Lines are medians with the spread of the runs.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.measure import Spread, spread
from thinghub.common.metrics import Metrics
from thinghub.common.tracing import Tracing
from thinghub.device_protocol import records
from thinghub.device_protocol.message_ids import MessageIds
from thinghub.rule_engine.domain.sources import parse_source
from thinghub.rule_engine.domain.sql import compile_sql
from thinghub.rule_engine.service.evaluation import Evaluation, RunningRule
from thinghub.rule_engine.service.observation import Observation
from thinghubpb.bus.v1 import record_pb2

PRODUCT = "a1BenchPk"
DEVICES = 50
FIELDS = "deviceName() AS device, items.temperature.value AS t, items.humidity.value AS h, time"
WORD = "CASE id WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'many' END"
HEADS = ("k evaluations/CPU s", "k messages/CPU s", "CPU us a message", "k evaluations/s")


@dataclass(frozen=True)
class Case:
    """Rules as (SELECT, WHERE)."""

    name: str
    rules: tuple[tuple[str, str], ...]


CASES = (
    Case("selects four fields", ((FIELDS, ""),)),
    Case("selects all", (("*", ""),)),
    Case("filters, 1 in 10 passes", ((FIELDS, "items.temperature.value >= 29"),)),
    Case(
        "topic, timestamp, concat", (("topic(4) AS t, timestamp('yyyy-MM-dd') AS d, concat(place, '/', id) AS p", ""),)
    ),
    Case(
        "CASE, IN, LIKE, functions",
        (
            (
                f"{WORD} AS word, abs(items.temperature.value - 25) AS off, upper(substring(place, 0, 4)) AS p",
                "place LIKE 'roof%' AND id NOT IN (3, 5, 7)",
            ),
        ),
    ),
    Case("the payload as text", (("payload() AS raw, deviceName() AS device", ""),)),
    Case("ten rules, all select", tuple((FIELDS, f"id >= {-n}") for n in range(10))),
    Case("ten rules, one selects", tuple((FIELDS, f"id % 10 = {n}") for n in range(10))),
)


@dataclass(frozen=True)
class Figures:
    """A second of CPU: evaluations and messages; `wall` evaluations a second of the clock."""

    evaluations: Spread
    messages: Spread
    wall: Spread
    cpu_us: Spread


def record(messages: int) -> tuple[bytes, int]:
    """A bus record as a gateway writes it, and the bytes of one payload."""
    ids = MessageIds(1, lambda: time.time_ns() // 1_000_000)
    made: list[records.Message] = []
    for index in range(messages):
        body = {
            "id": index % 10,
            "place": f"roof-{index % 7}",
            "time": 1_700_000_000_000 + index,
            "items": {
                "temperature": {"value": 20 + index % 10, "time": 1_700_000_000_000 + index},
                "humidity": {"value": 40.5 + index % 20, "time": 1_700_000_000_000 + index},
                "pressure": {"value": 1013, "time": 1_700_000_000_000 + index},
            },
        }
        device = f"device{index % DEVICES}"
        payload = json.dumps(body, separators=(",", ":")).encode()
        topic = f"/{PRODUCT}/{device}/user/update"
        made.append(records.Message(ids.next(), PRODUCT, device, topic, payload, 1, index, 1_700_000_000_000))
    return records.encode_record("bench", made), len(made[0].payload)


def evaluation(case: Case) -> Evaluation:
    source = parse_source(PRODUCT, "+/user/update", 1)
    rules = [
        RunningRule(number, source, compile_sql(select, where), (number,))
        for number, (select, where) in enumerate(case.rules, 1)
    ]
    return Evaluation(rules, Observation(Metrics("bench"), Tracing.memory()))


def measure(case: Case, value: bytes, messages: int, seconds: float, runs: int) -> Figures:
    rules = evaluation(case)
    rules.evaluate(record_pb2.Record.FromString(value).messages)  # a first look at every topic
    rates, wall = list[float](), list[float]()
    for _ in range(runs):
        began, cpu, count = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < seconds:
            rules.evaluate(record_pb2.Record.FromString(value).messages)
            count += messages
        rates.append(count / (time.process_time() - cpu))
        wall.append(count / (time.perf_counter() - began))
    many = len(case.rules)
    return Figures(
        spread([rate * many / 1000 for rate in rates]),
        spread([rate / 1000 for rate in rates]),
        spread([rate * many / 1000 for rate in wall]),
        spread([1e6 / rate for rate in rates]),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rules", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--messages", type=int, default=500, help="in one record")
    options = parser.parse_args(arguments)
    value, size = record(options.messages)
    print(
        f"{options.messages} messages a record, payloads of {size} bytes, {options.runs} runs of {options.seconds:g} s"
    )
    print(f"\n{'rules':<28}" + "".join(f"{head:>24}" for head in HEADS))
    for case in CASES:
        found = measure(case, value, options.messages, options.seconds, options.runs)
        figures = (found.evaluations, found.messages, found.cpu_us, found.wall)
        print(f"{case.name:<28}" + "".join(f"{figure!s:>24}" for figure in figures), flush=True)


if __name__ == "__main__":
    main()
