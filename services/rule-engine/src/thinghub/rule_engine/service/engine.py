"""The engine: messages are evaluated against the running rules, outputs go to their lanes.

A call returns when every output is durably done or durably waits (invariants §3): then the offset may advance.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from thinghub.rule_engine.domain.outputs import Output
from thinghub.rule_engine.service.evaluation import BusMessage, Evaluation, RunningRule
from thinghub.rule_engine.service.lanes import Lanes, LiveAction
from thinghub.rule_engine.service.observation import Observation

# What one caller hands to the lanes at once: a backlog goes to a healthy sink in portions that it can take in time.
MAX_OUTPUTS = 2000


class Engine:
    def __init__(self, lanes: Lanes, observation: Observation) -> None:
        self._lanes = lanes
        self._observation = observation
        self._evaluation = Evaluation((), observation)

    def apply(self, rules: Sequence[RunningRule], actions: Iterable[LiveAction]) -> None:
        """From now on these rules run; `actions` also has those of rules that are stopped, for what still waits."""
        self._evaluation = Evaluation(rules, self._observation)
        self._lanes.apply(actions)
        self._observation.running.set(len(rules))

    async def process(self, records: Iterable[Iterable[BusMessage]]) -> None:
        """Raises Unavailable or ResourceExhausted when an output could neither be done nor be parked."""
        outputs: dict[int, list[Output]] = {}
        count = 0
        for messages in records:
            for action_id, more in self._evaluation.evaluate(messages).items():
                outputs.setdefault(action_id, []).extend(more)
                count += len(more)
            if count >= MAX_OUTPUTS:
                await self._dispatch(outputs)
                outputs, count = {}, 0
            await asyncio.sleep(0)  # a record may take milliseconds: others get their turn in between
        await self._dispatch(outputs)

    async def retry(self, outputs: Iterable[Output], refresh: Callable[[], Awaitable[None]]) -> None:
        """Another try for outputs that waited; `refresh` is asked to reload when an action is unknown. Raises as
        `process`."""
        by_action: dict[int, list[Output]] = {}
        for output in outputs:
            by_action.setdefault(output.action_id, []).append(output)
        if any(self._lanes.find(action_id) is None for action_id in by_action):
            await refresh()
        await self._dispatch(by_action)

    async def _dispatch(self, outputs: Mapping[int, list[Output]]) -> None:
        deliveries: list[Awaitable[None]] = []
        for action_id, found in outputs.items():
            if lane := self._lanes.find(action_id):
                deliveries.append(lane.deliver(found))
            else:
                self._observation.results("deleted", "gone", len(found))
        # all of them end, so that one action's trouble does not cut another's batch short
        results = await asyncio.gather(*deliveries, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def status(self, action_id: int) -> str:
        return self._lanes.status(action_id)
