"""The bus topic table: every topic of the platform, who writes it and who reads it.

`thinghub admin topics` creates them; a broker never does. Device topics are partitioned by device slot (`slots`), retry
topics by action. `specs()` has the fields of the bus port's own topic description, so this library need not know it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from thinghub.device_protocol.topics import Category

HOUR = 3600
DAY = 24 * HOUR

DEVICE_CUSTOM = "device.custom"
DEVICE_LIFECYCLE = "device.lifecycle"
DEVICE_OTA = "device.ota"
DEVICE_SHADOW = "device.shadow"
DEVICE_THING = "device.thing"
THING_DATA = "thing.data"
DEVICE_TAGS = "device.tags"
DEVICE_TOPOLOGY = "device.topology"
DEVICE_MODEL = "device.model"
OTA_DATA = "ota.data"
RULE_RETRY_1S = "rule.retry.1s"
RULE_RETRY_3S = "rule.retry.3s"
RULE_RETRY_10S = "rule.retry.10s"
RULE_RETRY_60S = "rule.retry.60s"
RULE_DEADLETTER = "rule.deadletter"
CONTROL = "control"


@dataclass(frozen=True, slots=True)
class BusTopic:
    """`key` says in words what a partition is chosen by; `partitions` is the default number."""

    name: str
    category: Category | None
    key: str
    partitions: int
    retention_s: int
    producers: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """The same fields as the bus port's TopicSpec."""

    name: str
    partitions: int
    retention_s: int
    groups: tuple[str, ...] = ()
    max_bytes: int = 1 << 30


_GATEWAY, _REGISTRY, _RULES = "connection-gateway", "device-registry", "rule-engine"
_OTA, _SHADOW = "ota", "shadow"

BUS_TOPICS: tuple[BusTopic, ...] = (
    BusTopic(DEVICE_CUSTOM, Category.CUSTOM, "device slot", 8, DAY, (_GATEWAY, _RULES), (_RULES,)),
    BusTopic(
        DEVICE_LIFECYCLE,
        Category.LIFECYCLE,
        "device slot",
        8,
        DAY,
        (_GATEWAY, _REGISTRY),
        (_REGISTRY, _RULES, _SHADOW, _OTA),
    ),
    BusTopic(DEVICE_SHADOW, Category.SHADOW, "device slot", 8, DAY, (_GATEWAY,), (_SHADOW,)),
    BusTopic(DEVICE_THING, Category.THING, "device slot", 8, DAY, (_GATEWAY,), (_SHADOW,)),
    BusTopic(THING_DATA, None, "device slot", 8, DAY, (_SHADOW,), (_RULES,)),
    BusTopic(DEVICE_OTA, Category.OTA, "device slot", 8, DAY, (_GATEWAY,), (_OTA,)),
    BusTopic(OTA_DATA, None, "device slot", 8, DAY, (_OTA,), (_RULES,)),
    BusTopic(DEVICE_TAGS, Category.TAGS, "device slot", 8, DAY, (_GATEWAY,), (_REGISTRY,)),
    BusTopic(DEVICE_TOPOLOGY, Category.TOPOLOGY, "device slot", 8, DAY, (_GATEWAY,), (_REGISTRY,)),
    BusTopic(DEVICE_MODEL, Category.MODEL, "device slot", 8, DAY, (_GATEWAY,), (_REGISTRY,)),
    BusTopic(RULE_RETRY_1S, None, "action", 4, 7 * DAY, (_RULES,), (_RULES,)),
    BusTopic(RULE_RETRY_3S, None, "action", 4, 7 * DAY, (_RULES,), (_RULES,)),
    BusTopic(RULE_RETRY_10S, None, "action", 4, 7 * DAY, (_RULES,), (_RULES,)),
    BusTopic(RULE_RETRY_60S, None, "action", 4, 7 * DAY, (_RULES,), (_RULES,)),
    BusTopic(RULE_DEADLETTER, None, "action", 4, 7 * DAY, (_RULES,), ()),
    BusTopic(CONTROL, None, "none", 1, HOUR, (_REGISTRY, _RULES), ()),
)


def specs(partitions: Mapping[str, int] | None = None) -> list[Spec]:
    """What must exist; `partitions` overrides the default number of a topic by name."""
    wanted = partitions or {}
    return [
        Spec(topic.name, wanted.get(topic.name, topic.partitions), topic.retention_s, topic.groups)
        for topic in BUS_TOPICS
    ]
