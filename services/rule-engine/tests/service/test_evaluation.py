import pytest

from thinghub.device_protocol.records import Message
from thinghub.rule_engine.domain.outputs import Origin
from thinghub.rule_engine.domain.sources import parse_source
from thinghub.rule_engine.domain.sql import compile_sql
from thinghub.rule_engine.service.evaluation import Evaluation, RunningRule, parse_payload
from thinghub.rule_engine.service.observation import Observation


def rule(rule_id: int, select: str, where: str = "", actions: tuple[int, ...] = (1,), below: str = "#") -> RunningRule:
    return RunningRule(rule_id, parse_source("pk", f"+/user/{below}", 1), compile_sql(select, where), actions)


def message(payload: bytes, number: int = 1, topic: str = "/pk/d/user/a", traceparent: str = "") -> Message:
    return Message(number, "pk", "d", topic, payload, 9, 9, 1000, 9, 2, 1, traceparent)


def counted(observation: Observation, name: str, outcome: str) -> float:
    value = observation._messages if name == "messages" else observation._evaluations
    return float(value.labels(outcome)._value.get())


def test_each_action_of_each_rule_gets_the_result_in_order(observation: Observation) -> None:
    rules = [rule(1, "a", "", (10, 11)), rule(2, "*, a + 1 AS b", "a > 1", (20,)), rule(3, "a", below="z")]
    outputs = Evaluation(rules, observation).evaluate([message(b'{"a":%d}' % n, n) for n in (1, 2, 3)])
    assert {action: [item.result for item in found] for action, found in outputs.items()} == {
        10: [{"a": 1}, {"a": 2}, {"a": 3}],
        11: [{"a": 1}, {"a": 2}, {"a": 3}],
        20: [{"a": 2, "b": 3}, {"a": 3, "b": 4}],
    }
    assert outputs[20][0].origin == Origin(2, "pk", "d", "/pk/d/user/a", 1000, 1, 2, "")
    assert (counted(observation, "evaluations", "selected"), counted(observation, "evaluations", "filtered")) == (5, 1)


DEEP = b'{"a":' + b"[" * 250 + b"]" * 250 + b"}"


@pytest.mark.parametrize("payload", [b"", b"not json", b"{", b"\xff\xfe", b"NaN", DEEP, b"[" * 5000])
def test_a_payload_that_is_not_json_is_counted_and_skipped(observation: Observation, payload: bytes) -> None:
    outputs = Evaluation([rule(1, "a"), rule(2, "*")], observation).evaluate([message(payload), message(b'{"a":1}')])
    assert [item.result for item in outputs[1]] == [{"a": 1}, {"a": 1}]
    assert counted(observation, "evaluations", "not_json") == 2


def test_star_needs_an_object(observation: Observation) -> None:
    rules = [rule(1, "*", actions=(1,)), rule(2, "a", actions=(2,))]
    outputs = Evaluation(rules, observation).evaluate([message(b"[1]")])
    assert {action: found[0].result for action, found in outputs.items()} == {2: {"a": None}}
    assert counted(observation, "evaluations", "not_object") == 1


def test_payload_is_not_parsed_when_no_rule_takes_the_topic(observation: Observation) -> None:
    assert Evaluation([rule(1, "a")], observation).evaluate([message(b"not json", topic="/pk/d/thing/x")]) == {}
    assert counted(observation, "messages", "no_rule") == 1
    assert counted(observation, "evaluations", "not_json") == 0


def test_many_short_arrays_are_not_depth() -> None:
    assert parse_payload(b"[" + b",".join([b"[]"] * 1000) + b"]") == [[]] * 1000


def test_a_sampled_message_leaves_a_span_that_its_outputs_follow(observation: Observation) -> None:
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    outputs = Evaluation([rule(1, "a")], observation).evaluate([message(b"{}", traceparent=parent), message(b"{}", 2)])
    [span] = observation.tracing.finished()
    assert span.name == "rule-engine evaluate"
    first, second = (item.origin.traceparent for item in outputs[1])
    assert (first[:36], first != parent, second) == (parent[:36], True, "")
