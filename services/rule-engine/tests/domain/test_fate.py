"""What becomes of outputs: ids, order, retries, the circuit."""

from dataclasses import replace

import pytest

from thinghub.common.errors import Fault
from thinghub.device_protocol.message_ids import MessageIds, derive
from thinghub.rule_engine.domain.breaker import Breaker, State
from thinghub.rule_engine.domain.outputs import Origin, Output, derived_id, order_of
from thinghub.rule_engine.domain.retries import Delays, Waiting, after_outage, after_refusal
from thinghub.rule_engine.domain.rules import Rule, check_rule, check_startable

NOW = 1_700_000_000_000


def _output(message_id: int = 5) -> Output:
    return Output(1, 2, Origin(message_id, "pk", "dn", "/pk/dn/user/a", NOW), {})


def test_the_derived_id_repeats_and_differs_by_rule_and_action() -> None:
    assert derived_id(_output()) == derived_id(_output()) == derive(5, "rule/1/2")
    assert len({derived_id(_output()._replace(rule_id=r, action_id=a)) for r in (1, 2) for a in (2, 3)}) == 4


def test_order_follows_message_ids_and_for_derived_ids_the_receive_time() -> None:
    ids = MessageIds(7, lambda: NOW)
    first, second = ids.next(), ids.next()
    derived = [Origin(derive(first, stage), "pk", "dn", "t", NOW + 1000) for stage in "abc"]
    later = MessageIds(7, lambda: NOW + 2000).next()
    orders = [order_of(Origin(first, "pk", "dn", "t", NOW)), order_of(Origin(second, "pk", "dn", "t", NOW + 5))]
    assert orders == [first, second]
    assert all(second < order_of(origin) < later for origin in derived)


def test_a_refused_output_waits_longer_each_time_and_then_is_dead() -> None:
    output, places = _output(), list[tuple[Waiting, float]]()
    for _ in range(4):
        place, output = after_refusal(output, "bad", NOW + len(places))
        places.append((place, Delays().of(place)))
    assert places == [(Waiting.FIRST, 1), (Waiting.SECOND, 3), (Waiting.THIRD, 10), (Waiting.DEAD, 0)]
    assert (output.attempts, output.first_failed_ms, output.last_error) == (4, NOW, "bad")


def test_an_outage_counts_no_attempt() -> None:
    place, output = after_outage(_output(), "away", NOW)
    assert (place, output.attempts, output.first_failed_ms) == (Waiting.OUTAGE, 0, NOW)


def test_the_circuit_lets_one_probe_through_and_waits_longer_after_each_failure() -> None:
    breaker = Breaker(first_s=1, most_s=4)
    breaker.failed(0, "away")
    breaker.failed(0.5, "away again")
    assert [breaker.admits(t) for t in (0.9, 1.0, 1.1)] == [False, True, False]
    assert breaker.state.value == "retrying"
    breaker.failed(2, "away")
    assert [breaker.admits(t) for t in (3.9, 4.0)] == [False, True]
    breaker.succeeded()
    assert breaker.admits(4.1)
    assert breaker.state is State.CLOSED


def test_a_probe_that_never_answers_does_not_close_the_way_for_ever() -> None:
    breaker = Breaker(first_s=1, most_s=4)
    breaker.failed(0, "away")
    assert [breaker.admits(t) for t in (1.0, 2.0, 3.0)] == [True, False, True]


RULE = Rule(0, "", "n", product_key="pk", short_topic="+/user/a", select="*")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": ""}, "rule_name_invalid"),
        ({"name": "x" * 31}, "rule_name_invalid"),
        ({"name": " x"}, "rule_name_invalid"),
        ({"name": "a\nb"}, "rule_name_invalid"),
        ({"description": "x" * 101}, "rule_description_invalid"),
        ({"rule_id": -1}, "rule_id_invalid"),
        ({"data_type": "BINARY"}, "data_type_unsupported"),
        ({"topic_type": 3}, "topic_type_unsupported"),
        ({"topic_type": 3, "short_topic": ""}, "topic_type_unsupported"),
        ({"product_key": "a/b"}, "topic_invalid"),
        ({"short_topic": "x"}, "topic_invalid"),
        ({"product_key": "", "short_topic": "x"}, "topic_invalid"),
        ({"select": "a b"}, "sql_invalid"),
        ({"select": "", "where": "a ="}, "sql_invalid"),
        ({"where": "a ="}, "sql_invalid"),
    ],
)
def test_rule_is_refused(change: dict[str, str | int], reason: str) -> None:
    with pytest.raises(Fault) as refusal:
        check_rule(replace(RULE, **change))  # type: ignore[arg-type]
    assert refusal.value.reason == reason


def test_parts_may_be_missing_until_it_starts() -> None:
    rule = Rule(0, "", "规则-1_ok")
    check_rule(rule)
    with pytest.raises(Fault, match="ProductKey, ShortTopic, Select") as refusal:
        check_startable(rule)
    assert refusal.value.details == {"missing": "ProductKey,ShortTopic,Select"}
    check_startable(RULE)
