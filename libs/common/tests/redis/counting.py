"""A count that tells lost answers from repeated commands: INCR, and what the port said about each."""

import asyncio
from dataclasses import dataclass, field

from thinghub.common.redis import NotReplicated, Redis, RedisUnavailable, Wait, cmd


@dataclass
class Counting:
    """INCR over `keys`, again and again, until told to stop. For each key: `acknowledged` <= value <= acknowledged +
    `unknown` exactly when no answer was lost and nothing was repeated in silence."""

    redis: Redis
    keys: list[str]
    wait: Wait | None = None
    deadline: float = 0.5
    acknowledged: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    stopping: bool = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.stopping:
            began = loop.time()
            answers = await self.redis.run([cmd("INCR", key) for key in self.keys], self.deadline, wait=self.wait)
            assert loop.time() - began < self.deadline + 0.5
            assert len(answers) == len(self.keys)
            for key, answer in zip(self.keys, answers, strict=True):
                self._note(key, answer)
            await asyncio.sleep(0.002)

    def _note(self, key: str, answer: object) -> None:
        if isinstance(answer, int):
            self.acknowledged[key] = self.acknowledged.get(key, 0) + 1
        elif isinstance(answer, NotReplicated) or (isinstance(answer, RedisUnavailable) and answer.executed is None):
            self.unknown[key] = self.unknown.get(key, 0) + 1
        else:
            assert isinstance(answer, RedisUnavailable), answer
            self.refused += 1

    async def check(self) -> None:
        answers = await self.redis.run([cmd("GET", key) for key in self.keys])
        for key, answer in zip(self.keys, answers, strict=True):
            value = int(answer) if isinstance(answer, bytes) else 0
            sure, maybe = self.acknowledged.get(key, 0), self.unknown.get(key, 0)
            assert sure <= value <= sure + maybe, f"{key}: {value}, acknowledged {sure}, unknown {maybe}, {answer!r}"


async def until_answered(redis: Redis, seconds: float = 20.0) -> float:
    """Waits until the port answers on every slot; returns how long that took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(seconds):
        while True:
            try:
                await redis.ping(deadline=1.0)
                return loop.time() - began
            except RedisUnavailable:
                await asyncio.sleep(0.05)
