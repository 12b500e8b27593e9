"""Which topics a server may publish to (device-mqtt.md §11)."""

from collections.abc import Iterable

from thinghub.api_gateway.domain.values import TopicClass, TopicOperation
from thinghub.api_gateway.errors import Refused

MAX_TOPIC_BYTES = 128 * 8


def device_and_short_name(topic: str, product_key: str) -> tuple[str, str]:
    """(DeviceName, name below `user/`) of `/{pk}/{dn}/user/...`.

    Raises Refused for system topics, wildcards, another product's topic and anything else.
    """
    levels = topic.split("/")
    if len(levels) < 5 or levels[0] or levels[3] != "user" or not all(levels[1:]):
        raise _bad(topic, "is not a custom topic /{ProductKey}/{DeviceName}/user/...")
    if levels[1] != product_key:
        raise _bad(topic, f"does not belong to the product {product_key}")
    if any(mark in topic for mark in "+#\0") or len(topic.encode()) > MAX_TOPIC_BYTES:
        raise _bad(topic, "has a wildcard or is too long")
    return levels[2], "/".join(levels[4:])


def check_broadcast(topic: str, product_key: str) -> None:
    """Raises Refused unless it is `/broadcast/{pk}/...` of this product."""
    levels = topic.split("/")
    if len(levels) < 4 or levels[:3] != ["", "broadcast", product_key] or not all(levels[1:]):
        raise _bad(topic, "is not a topic /broadcast/{ProductKey}/...")
    if any(mark in topic for mark in "+#\0") or len(topic.encode()) > MAX_TOPIC_BYTES:
        raise _bad(topic, "has a wildcard or is too long")


def check_subscribable(topic: str, short_name: str, classes: Iterable[TopicClass]) -> None:
    """Raises Refused unless a class of the product lets its devices subscribe to the topic."""
    for cls in classes:
        if cls.operation in (TopicOperation.SUB, TopicOperation.ALL) and matches(cls.short_name, short_name):
            return
    raise _bad(topic, "is not of a topic class that the product's devices may subscribe to")


def matches(pattern: str, name: str) -> bool:
    """MQTT filter match by level; a last `#` takes the parent level too ([MQTT-4.7.1-2])."""
    wanted, given = pattern.split("/"), name.split("/")
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i >= len(given) or level not in ("+", given[i]):
            return False
    return len(wanted) == len(given)


def _bad(topic: str, why: str) -> Refused:
    return Refused("iot.messagebroker.InvalidFormattedTopicName", f"The topic {topic[:200]} {why}.")
