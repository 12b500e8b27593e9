"""Pushes: downlinks handed to the connection plane, each with a token that is answered once.

Bounded: when too many are under way, new ones fail at once, and the caller learns it.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from thinghub.connection_gateway.domain.outcomes import Outcome
from thinghub.connection_gateway.ports import Connections, Pushed

# A QoS 1 message is answered by PUBACK, which may take long; immediate refusals come within this.
GRACE_SECONDS = 0.05

Answered = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Push:
    handle: int
    topic: str
    payload: bytes
    qos: int
    must_subscribe: bool


class Pushes:
    def __init__(self, connections: Connections, bound: int) -> None:
        self._connections = connections
        self._bound = bound
        self._tokens = count(1)
        self._waiting: dict[int, Answered] = {}

    def start(self, pushes: Sequence[tuple[Push, Answered]]) -> list[int]:
        """Hands the messages over in order; each `Answered` is called once, unless the token is forgotten before."""
        tokens, handed = [], []
        for push, answered in pushes:
            token = next(self._tokens)
            tokens.append(token)
            if len(self._waiting) >= self._bound:
                answered(Outcome.FAILED)
                continue
            self._waiting[token] = answered
            handed.append(Pushed(token, push.handle, push.topic, push.payload, push.qos, push.must_subscribe))
        self._connections.deliver(handed)
        return tokens

    def forget(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            self._waiting.pop(token, None)

    def on_delivered(self, token: int, outcome: str) -> None:
        answered = self._waiting.pop(token, None)
        if answered is not None:
            answered(Outcome(outcome))

    async def push(self, pushes: Sequence[Push], wait_ms: int) -> list[Outcome]:
        """Hands over and waits for acknowledgements, `wait_ms` at most; with 0 a message that was not refused at once
        counts as sent. One outcome a message, in order."""
        batch = _Batch(len(pushes))
        tokens = self.start([(push, batch.slot(index)) for index, push in enumerate(pushes)])
        try:
            async with asyncio.timeout(wait_ms / 1000 if wait_ms else GRACE_SECONDS):
                await batch.complete
        except TimeoutError:
            self.forget(tokens)
        late = Outcome.TIMEOUT if wait_ms else Outcome.SENT
        return [outcome or late for outcome in batch.outcomes]

    def __len__(self) -> int:
        return len(self._waiting)


class _Batch:
    def __init__(self, size: int) -> None:
        self.outcomes: list[Outcome | None] = [None] * size
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._missing = size
        if not size:
            self.complete.set_result(None)

    def slot(self, index: int) -> Answered:
        def answered(outcome: Outcome) -> None:
            self.outcomes[index] = outcome
            self._missing -= 1
            if not self._missing and not self.complete.done():
                self.complete.set_result(None)

        return answered
