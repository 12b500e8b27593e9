"""Where outputs go: one kind a type of action."""

from collections.abc import Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from thinghub.rule_engine.domain.configurations import Configuration
from thinghub.rule_engine.domain.outputs import Output
from thinghub.rule_engine.domain.sql.kinds import ValueKind

ConfigT = TypeVar("ConfigT", bound=Configuration, contravariant=True)


class SinkDown(Exception):
    """The sink cannot be reached or does not answer in time; none of the batch is at fault. `answers` are those of the
    outputs it begins with that the sink did answer; of the others nothing is known."""

    def __init__(self, why: str, answers: Sequence[str | None] = ()) -> None:
        super().__init__(why)
        self.answers = answers


class Sink(Protocol):
    async def deliver(self, outputs: Sequence[Output]) -> list[str | None]:
        """One answer an output, in order: None when its effect is durable, else why the sink refuses it. An output may
        come more than once. Ends within the kind's deadline. Raises SinkDown."""

    async def close(self) -> None: ...


class SinkKind(Protocol, Generic[ConfigT]):
    async def check(self, instance_id: str, configuration: ConfigT, fields: Mapping[str, ValueKind]) -> None:
        """What can be found wrong before an action is created; `fields` are what its rule selects. Raises a fault that
        says it."""

    def open(self, instance_id: str, configuration: ConfigT) -> Sink:
        """Connects lazily."""
