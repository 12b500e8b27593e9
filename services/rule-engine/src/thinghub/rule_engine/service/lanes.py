"""The lanes of one process: one an action, made when its first output comes, ended when the action is gone."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Self

from thinghub.rule_engine.domain.configurations import Configuration, resource_of
from thinghub.rule_engine.domain.failures import failure_of
from thinghub.rule_engine.domain.outputs import Output
from thinghub.rule_engine.domain.retries import Delays, Waiting
from thinghub.rule_engine.ports.parking import Parking
from thinghub.rule_engine.ports.sinks import SinkKind
from thinghub.rule_engine.service.lane import Bounds, Lane
from thinghub.rule_engine.service.observation import Observation

# Any: each kind takes its own configuration class; the type's name decides both.
Kinds = Mapping[str, SinkKind[Any]]


@dataclass(frozen=True, slots=True)
class LiveAction:
    action_id: int
    instance_id: str
    type: str
    configuration: Configuration
    rule_id: int = 0
    rule_name: str = ""
    error_action: bool = False


class _Nowhere:
    """Where the outputs of error actions wait: they are tried once."""

    loss = "dropped"

    async def park(self, place: Waiting, outputs: Sequence[Output], not_before_ms: int) -> int:
        return len(outputs)

    async def waiting(self) -> dict[str, int]:
        return {}


class Lanes:
    """Use as `async with`; its end cancels what is under way, which then waits on the bus."""

    def __init__(
        self,
        kinds: Kinds,
        parking: Parking,
        observation: Observation,
        bounds: Bounds,
        delays: Delays,
        now_ms: Callable[[], int],
        batches: Mapping[str, int] | None = None,
    ) -> None:
        """`batches`: the outputs in one sink call, for the types that take fewer than the others."""
        self._kinds = kinds
        self._parking = parking
        self._observation = observation
        self._bounds = bounds
        self._delays = delays
        self._now_ms = now_ms
        self._batches = batches or {}
        self._actions: dict[int, LiveAction] = {}
        self._error_actions: dict[int, LiveAction] = {}
        self._lanes: dict[int, tuple[Lane, asyncio.Task[None]]] = {}
        self._tasks = asyncio.TaskGroup()
        for name in kinds:
            observation.circuits.labels(name).set_function(partial(self._open_circuits, name))

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        lanes = [lane for lane, _ in self._lanes.values()]
        for _, task in self._lanes.values():
            task.cancel()
        try:
            await self._tasks.__aexit__(kind, error, where)
        finally:
            for lane in lanes:
                await lane.close()

    def apply(self, actions: Iterable[LiveAction]) -> None:
        """The actions that exist now."""
        self._actions = {action.action_id: action for action in actions}
        self._error_actions = {action.rule_id: action for action in self._actions.values() if action.error_action}
        for action_id in self._lanes.keys() - self._actions.keys():
            lane, task = self._lanes.pop(action_id)
            task.cancel()
            self._tasks.create_task(lane.close())

    def find(self, action_id: int) -> Lane | None:
        """None when there is no such action."""
        if found := self._lanes.get(action_id):
            return found[0]
        action = self._actions.get(action_id)
        return None if action is None else self._open(action)

    def status(self, action_id: int) -> str:
        found = self._lanes.get(action_id)
        return found[0].status if found else "ok"

    def _open(self, action: LiveAction) -> Lane:
        sink = self._kinds[action.type].open(action.instance_id, action.configuration)
        parking = _Nowhere() if action.error_action else self._parking
        dead = None if action.error_action else partial(self._report, action)
        bounds = replace(
            self._bounds, batch=min(self._bounds.batch, self._batches.get(action.type, self._bounds.batch))
        )
        lane = Lane(action.type, sink, parking, self._observation, bounds, self._delays, self._now_ms, dead)
        self._lanes[action.action_id] = lane, self._tasks.create_task(lane.run())
        return lane

    async def _report(self, failed: LiveAction, outputs: Sequence[Output]) -> None:
        """To the rule's error action, once, if there is one."""
        told = self._error_actions.get(failed.rule_id)
        lane = self.find(told.action_id) if told else None
        if told is None or lane is None:
            return
        resource = resource_of(failed.configuration)
        failures = [failure_of(output, told.action_id, failed.rule_name, failed.type, resource) for output in outputs]
        self._observation.results(failed.type, "error_action", len(failures))
        await lane.deliver(failures)

    def _open_circuits(self, type: str) -> int:
        return sum(lane.type == type and lane.is_open for lane, _ in self._lanes.values())
