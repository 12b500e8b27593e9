import pytest

from thinghub.api_gateway.domain.topics import check_subscribable, device_and_short_name, matches
from thinghub.api_gateway.domain.values import TopicClass, TopicOperation
from thinghub.api_gateway.errors import Refused


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("get", "get", True),
        ("get", "get/x", False),
        ("get", "put", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "x", True),
        ("+/b", "a/b", True),
    ],
)
def test_topic_class_patterns(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


def test_a_custom_topic_names_device_and_class() -> None:
    assert device_and_short_name("/pk/dev1/user/a/b", "pk") == ("dev1", "a/b")


@pytest.mark.parametrize(
    "topic",
    [
        "/sys/pk/dev1/thing/service/property/set",
        "/pk/dev1/thing/event",
        "/pk/dev1/user",
        "/pk/dev1/user/",
        "/pk//user/get",
        "pk/dev1/user/get",
        "/other/dev1/user/get",
        "/pk/dev1/user/+",
        "/pk/dev1/user/#",
        "/pk/+/user/get",
        "/ext/rrpc/1/pk/dev1/user/get",
        "",
        "/pk/dev1/user/" + "x" * 2000,
    ],
)
def test_other_topics_are_refused(topic: str) -> None:
    with pytest.raises(Refused) as refusal:
        device_and_short_name(topic, "pk")
    assert refusal.value.code == "iot.messagebroker.InvalidFormattedTopicName"


def test_devices_must_be_allowed_to_subscribe() -> None:
    classes = [
        TopicClass("pk", "up", TopicOperation.PUB),
        TopicClass("pk", "get", TopicOperation.SUB),
        TopicClass("pk", "both", TopicOperation.ALL),
    ]
    check_subscribable("t", "get", classes)
    check_subscribable("t", "both", classes)
    for name in ("up", "none"):
        with pytest.raises(Refused):
            check_subscribable("t", name, classes)
