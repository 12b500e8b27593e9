"""Dead letters: outputs that a sink refused for the last time, kept to be looked at and tried again."""

from dataclasses import dataclass

from thinghub.rule_engine.domain.outputs import Output

MAX_PAGE = 200
MAX_REDRIVE = 1000


@dataclass(frozen=True, slots=True)
class Death:
    """An output as the topic of dead letters tells of it, and where on the bus it does."""

    output: Output
    died_ms: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What is told of one without its content. `dead_letter_id` is the derived id; `action_type` is empty when the
    action is gone; `redriven_ms` is 0 for one that waits; `tries` are those of all its lives."""

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
class Selection:
    """Zeros match everything. `until_ms` is exclusive and, like `from_ms`, of the death. `redriven`: those that were
    redriven as well. `before` is the position that a page ended with. With `ids` nothing else is looked at."""

    instance_id: str
    rule_id: int = 0
    from_ms: int = 0
    until_ms: int = 0
    redriven: bool = False
    before: int = 0
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One that is to be redriven: enough to take it in bounded portions. `alive`: its action is there."""

    dead_letter_id: int
    position: int
    bytes: int
    alive: bool


@dataclass(frozen=True, slots=True)
class Redriven:
    redriven: int
    gone: int
    more: bool
