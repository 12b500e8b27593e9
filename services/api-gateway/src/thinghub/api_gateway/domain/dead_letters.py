"""Dead letters of rules, as rule-engine tells of them; a field is named and numbered as there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`action_type` is empty when the action is gone; `redriven_ms` is 0 for one that waits."""

    dead_letter_id: int
    position: int
    rule_id: int
    rule_name: str
    action_id: int
    action_type: str
    message_id: int
    product_key: str
    device_name: str
    topic: str
    error: str
    tries: int
    received_ms: int
    first_failed_ms: int
    died_ms: int
    redriven_ms: int
    redriven_times: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DeadLetterQuery:
    """Zeros match everything; `until_ms` is exclusive."""

    instance_id: str
    rule_id: int
    from_ms: int
    until_ms: int
    redriven: bool
    before: int
    limit: int


@dataclass(frozen=True, slots=True)
class Redrive:
    """Those named by `dead_letter_ids`, or those that wait of a rule or a time."""

    instance_id: str
    dead_letter_ids: tuple[int, ...]
    rule_id: int
    from_ms: int
    until_ms: int
    limit: int


@dataclass(frozen=True, slots=True)
class Redriven:
    redriven: int
    gone: int
    more: bool
