"""What an operator asks of a bus: its brokers, and each topic as it is, beside what the platform expects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the bus has it. `retention_s` -1: for ever. `replicas`, `in_sync_needed` and what follows are 1, 1 and
    nothing on a bus that leaves copies to its server. `lagging` and `leaderless` count partitions."""

    name: str
    partitions: int
    retention_s: int
    replicas: int = 1
    in_sync_needed: int = 1
    unclean_election: bool = False
    lagging: int = 0
    leaderless: int = 0


@dataclass(frozen=True, slots=True)
class BusState:
    """`replicated`: the bus keeps the copies itself (Kafka). `topics` has those that exist, without the prefix."""

    replicated: bool
    brokers: int
    topics: dict[str, TopicState]


@runtime_checkable
class Inspected(Protocol):
    """A bus that can say how it is set up; both adapters can."""

    async def inspect(self, topics: Sequence[str]) -> BusState:
        """Raises BusUnavailable."""
