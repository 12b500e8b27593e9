"""Policies: all that a gateway enforces for the devices of one product."""

from dataclasses import dataclass

from thinghub.device_registry.domain.products import CONTRACT_LIMITS, Limits
from thinghub.device_registry.domain.topic_classes import TopicClass


@dataclass(frozen=True, slots=True)
class Policy:
    """`found` False: the product does not exist (any more); `version` then still orders it after what it replaces.
    Limits are resolved."""

    product_key: str
    found: bool
    version: int
    instance_id: str = ""
    lane: int = 0
    not_stored: bool = False
    node_type: int = 0
    topic_classes: tuple[TopicClass, ...] = ()
    limits: Limits = CONTRACT_LIMITS
