"""When a try failed: where the output waits and how long (invariants §3).

A sink that is away keeps its outputs on the outage lane until the topic's retention ends: no try is counted. An output
that the sink refused is tried again after 1, 3 and 10 seconds, then goes to the dead letters.
"""

from dataclasses import dataclass
from enum import Enum

from thinghub.rule_engine.domain.outputs import Output


class Waiting(Enum):
    """The durable places an output can wait in; the value is the rank of its delay."""

    FIRST = 0
    SECOND = 1
    THIRD = 2
    OUTAGE = 3
    DEAD = 4


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds."""

    refused_s: tuple[float, float, float] = (1.0, 3.0, 10.0)
    outage_s: float = 60.0

    def of(self, place: Waiting) -> float:
        if place is Waiting.DEAD:
            return 0.0
        return self.outage_s if place is Waiting.OUTAGE else self.refused_s[place.value]


def after_refusal(output: Output, why: str, now_ms: int) -> tuple[Waiting, Output]:
    place = (Waiting.FIRST, Waiting.SECOND, Waiting.THIRD)[output.attempts] if output.attempts < 3 else Waiting.DEAD
    return place, _marked(output, why, now_ms, output.attempts + 1)


def after_outage(output: Output, why: str, now_ms: int) -> tuple[Waiting, Output]:
    return Waiting.OUTAGE, _marked(output, why, now_ms, output.attempts)


def _marked(output: Output, why: str, now_ms: int, attempts: int) -> Output:
    first = output.first_failed_ms or now_ms
    return output._replace(attempts=attempts, first_failed_ms=first, last_error=why[:500])
