"""Messages in, outputs out: the part of the engine that runs for every message of every device."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from thinghub.rule_engine.domain.outputs import Origin, Output
from thinghub.rule_engine.domain.routing import Routing
from thinghub.rule_engine.domain.sources import Source
from thinghub.rule_engine.domain.sql import Compiled, DeviceMessage
from thinghub.rule_engine.service.observation import Observation, Tally

# orjson reads 1,024 levels but writes 254: what could not be written again is refused when it is read.
MAX_PAYLOAD_DEPTH = 200


class BusMessage(DeviceMessage, Protocol):
    """A device message as it comes from the bus (thinghubpb.bus.v1.Message, invariants §3)."""

    @property
    def payload(self) -> bytes: ...
    @property
    def qos(self) -> int: ...
    @property
    def hops(self) -> int: ...
    @property
    def traceparent(self) -> str: ...


@dataclass(frozen=True, slots=True)
class RunningRule:
    rule_id: int
    source: Source
    sql: Compiled
    action_ids: tuple[int, ...]
    keeps_payload: bool = False


class Evaluation:
    """The running rules, ready to be asked; a new one is made when they change."""

    def __init__(self, rules: Iterable[RunningRule], observation: Observation) -> None:
        self._routing = Routing((rule.source, rule) for rule in rules)
        self._observation = observation

    def evaluate(self, messages: Iterable[BusMessage]) -> dict[int, list[Output]]:
        """Outputs by action, in the messages' order. Never raises: what cannot be evaluated is counted and skipped."""
        outputs: dict[int, list[Output]] = {}
        seen, evaluated = Tally[str](), Tally[str]()
        find = self._routing.find
        total = matched = 0
        for message in messages:
            total += 1
            rules = find(message.product_key, message.device_name, message.topic)
            if not rules:
                continue
            matched += 1
            if message.traceparent:
                self._traced(message, rules, outputs, evaluated)
            else:
                _apply(message, rules, outputs, evaluated, "")
        seen["matched"], seen["no_rule"] = matched, total - matched
        self._observation.messages(seen)
        self._observation.evaluations(evaluated)
        return outputs

    def _traced(
        self,
        message: BusMessage,
        rules: Sequence[RunningRule],
        outputs: dict[int, list[Output]],
        evaluated: "Tally[str]",
    ) -> None:
        attributes: dict[str, str | int] = {"topic": message.topic, "rules": len(rules)}
        with self._observation.tracing.span("rule-engine evaluate", message.traceparent, attributes) as span:
            _apply(message, rules, outputs, evaluated, span.traceparent or message.traceparent)


def _apply(
    message: BusMessage,
    rules: Sequence[RunningRule],
    outputs: dict[int, list[Output]],
    evaluated: "Tally[str]",
    traceparent: str,
) -> None:
    try:
        payload = parse_payload(message.payload)
    except ValueError:
        evaluated["not_json"] += len(rules)
        return
    origin: Origin | None = None
    for rule in rules:
        if rule.sql.star and type(payload) is not dict:
            evaluated["not_object"] += 1
            continue
        try:
            result = rule.sql.evaluate(message, payload)
        except Exception:
            evaluated["failed"] += 1  # a defect of ours, and no reason to stop the messages behind it
            continue
        if result is None:
            evaluated["filtered"] += 1
            continue
        evaluated["selected"] += 1
        if origin is None:
            origin = _origin(message, traceparent)
        for action_id in rule.action_ids:
            output = Output(rule.rule_id, action_id, origin, result)
            if rule.keeps_payload:
                output = output._replace(payload=message.payload)
            outputs.setdefault(action_id, []).append(output)


def _origin(message: BusMessage, traceparent: str) -> Origin:
    return Origin(
        message.id,
        message.product_key,
        message.device_name,
        message.topic,
        message.received_ms,
        message.qos,
        message.hops,
        traceparent,
    )


def parse_payload(payload: bytes) -> object:
    """Raises ValueError when it is not JSON, or nested too deep to be written again."""
    value: object = orjson.loads(payload)
    if payload.count(b"[") + payload.count(b"{") > MAX_PAYLOAD_DEPTH and _depth(value) > MAX_PAYLOAD_DEPTH:
        raise ValueError("nested too deep")
    return value


def _depth(value: object) -> int:
    level: list[object] = [value]
    depth = 0
    while level:
        depth += 1
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
    return depth
