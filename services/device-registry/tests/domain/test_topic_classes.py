import pytest

from thinghub.common.errors import Fault
from thinghub.device_registry.domain.topic_classes import Operation, TopicClass, check_topic_class, default_classes


def topic_class(name: str, operation: Operation = Operation.SUB) -> TopicClass:
    return TopicClass(0, "a1234567890", name, operation)


@pytest.mark.parametrize("name", ["update", "a/b/c/d", "+", "#", "a/+/b", "a/#", "温度", "x" * 90])
def test_these_may_be_subscribed(name: str) -> None:
    check_topic_class(topic_class(name))


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "a/#/b", "a+", "#a", "a b", "a\x00", "a/b/c/d/e", "x" * 110])
def test_these_are_no_topics(name: str) -> None:
    with pytest.raises(Fault) as refused:
        check_topic_class(topic_class(name))
    assert refused.value.reason == "topic_class_invalid"


@pytest.mark.parametrize("operation", [Operation.PUB, Operation.ALL])
@pytest.mark.parametrize("name", ["+", "a/#"])
def test_a_wildcard_is_for_subscribing_only(name: str, operation: Operation) -> None:
    with pytest.raises(Fault) as refused:
        check_topic_class(topic_class(name, operation))
    assert refused.value.reason == "topic_operation_invalid"


def test_a_product_starts_with_the_contracts_classes() -> None:
    assert [(one.short_name, one.operation.value) for one in default_classes("a1")] == [
        ("update", "PUB"),
        ("update/error", "PUB"),
        ("get", "SUB"),
    ]
    for one in default_classes("a1"):
        check_topic_class(one)
