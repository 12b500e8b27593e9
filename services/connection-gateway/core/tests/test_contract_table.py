"""The device contract's real topic table in the core: the same answers as the table's own reading of each row."""

import pytest

from tests.support.gateway_core import LIMITS, Gateway, publish_packet, subscribe_packet
from thinghub.device_protocol import topics
from thinghub_gateway_core import TopicClass, TopicRule

FILL = {"{pk}": "pk", "{dn}": "dev", "+": "x1", "#": "y1/z1"}
STRANGER = {**FILL, "{dn}": "other"}


def filled(pattern: str, names: dict[str, str]) -> str:
    return "/".join(names.get(level, level) for level in pattern.split("/"))


def samples() -> list[str]:
    """Topics of every row, some a level longer or shorter, and the same of another device."""
    found = set()
    for row in topics.TOPICS:
        for names in (FILL, STRANGER):
            topic = filled(row.pattern, names)
            found |= {topic, topic + "/more", topic.rpartition("/")[0] or "/"}
    return sorted(topic for topic in found if topic.count("/") <= 7)


@pytest.fixture
def contract(gateway: Gateway) -> Gateway:
    categories = list(topics.Category)
    rules = topics.topic_rules({}, local=categories)
    gateway.core.set_topic_table([TopicRule(*rule) for rule in rules])
    everything = [TopicClass("#", True, True)]
    gateway.core.set_product_policy("pk", 2, everything, LIMITS._replace(subscriptions=0))
    return gateway


def test_publishes_are_decided_as_the_table_says(contract: Gateway) -> None:
    device, _ = contract.device(ext=1)
    expected = []
    refused = 0
    for number, topic in enumerate(samples(), start=1):
        row = topics.publish_row(topic, "pk", "dev")
        refused += row is None
        if row or topics.publish_row(topic, "pk", "other"):
            expected.append((topic, row.category.value if row else "foreign"))
        device.send(publish_packet(topic, b"", 1, number))
        assert device.pubacks(1) == [number]
    assert [(message.topic, message.category) for message in contract.local(len(expected))] == expected
    assert contract.counter("refused_publish:permission") == refused


def test_subscriptions_are_decided_as_the_table_says(contract: Gateway) -> None:
    device, _ = contract.device(ext=1)
    patterns = {filled(row.pattern, {"{pk}": "pk", "{dn}": "dev"}) for row in topics.TOPICS}
    filters = sorted({*samples(), *patterns, "#", "+/+", "/sys/#", "/sys/pk/+/thing/#", "/+/dev/user/+"})
    for filter_ in filters:
        device.send(subscribe_packet(1, (filter_, 1)))
        granted = device.expect("suback")["codes"] == [1]
        assert granted == (topics.subscribe_row(filter_, "pk", "dev") is not None), filter_


def test_automatic_topics_arrive_without_a_subscription(contract: Gateway) -> None:
    _device, handle = contract.device(ext=1)
    for topic in samples():
        row = topics.delivery_row(topic, "pk", "dev")
        contract.deliver(handle, topic)
        assert contract.outcome() == ("sent" if row and row.auto else "no_subscriber"), topic


def test_gateway_topics_and_unusual_replies_are_granted_to_plain_devices(contract: Gateway) -> None:
    """What real SDKs subscribe to one by one (device-mqtt §1.4)."""
    device, _ = contract.device()
    paths = ["thing/config/push_reply", "thing/topo/add_reply", "thing/sub/register_reply", "thing/model/down_raw"]
    for path in paths:
        device.send(subscribe_packet(1, (f"/sys/pk/dev/{path}", 1)))
        assert device.expect("suback")["codes"] == [1]
