"""The port's one implementation: a batch is grouped by server, sent, and what was certainly not executed is sent again.

Which server has a command is a router's matter; there is one for a single server, for Sentinel and for a Cluster.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Protocol

from thinghub.common.redis.node import Call, Node
from thinghub.common.redis.port import Answer, Argument, Command, RedisError, RedisUnavailable, Wait
from thinghub.common.redis.slots import key_slot

ROUNDS_AT_ONCE = 5
PAUSE_MIN, PAUSE_MAX = 0.01, 0.2

# Refusals after which the command was certainly not executed; those with True are worth repeating without a pause.
_REFUSED = {
    "MOVED": True,
    "ASK": True,
    "NOSCRIPT": True,
    "TRYAGAIN": False,
    "CLUSTERDOWN": False,
    "LOADING": False,
    "MASTERDOWN": False,
    "READONLY": False,
    "BUSY": False,
}


class Router(Protocol):
    """Knows which server a slot is on. Its methods raise RedisUnavailable only."""

    async def node(self, slot: int, until: float) -> Node:
        """The server for a slot; -1 is any."""

    async def every(self, until: float) -> list[Node]:
        """All that must answer."""

    def refused(self, node: Node, slot: int, error: RedisError) -> Node | None:
        """Learns from a refusal; for ASK, the server to ask."""

    def lost(self, node: Node) -> None:
        """Learns that a server did not answer."""

    def close(self) -> None: ...


class Pipeline:
    """Implements `Redis`."""

    def __init__(self, router: Router, prefix: str) -> None:
        self._router = router
        self._prefix = prefix

    async def run(
        self,
        commands: Sequence[Command],
        deadline: float = 2.0,
        *,
        wait: Wait | None = None,
        blocking: bool = False,
    ) -> list[Answer]:
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline
        wait = wait if wait is not None and wait.replicas else None
        answers: list[Answer] = [RedisUnavailable("no answer in time")] * len(commands)
        todo = [self._call(index, command) for index, command in enumerate(commands)]
        asked: dict[int, Node] = {}  # by index: where ASK sent it
        pause, rounds = PAUSE_MIN, 0
        while todo:
            groups = await self._grouped(todo, asked, until, answers)
            await _together([self._send(node, calls, until, wait, blocking, answers) for node, calls in groups])
            asked, again = self._learn(groups, answers)
            unknown = {call.slot for call in todo if _unknown(answers[call.index])}
            todo = [call for call in todo if _not_executed(answers[call.index]) and call.slot not in unknown]
            rounds += 1
            if todo and (not again or rounds >= ROUNDS_AT_ONCE):
                if loop.time() + pause >= until:
                    break
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_MAX)
            elif todo and loop.time() >= until:
                break
        return answers

    async def one(self, command: Command, deadline: float = 2.0, *, wait: Wait | None = None) -> Answer:
        (answer,) = await self.run([command], deadline, wait=wait)
        if isinstance(answer, RedisError):
            raise answer
        return answer

    async def ping(self, deadline: float = 2.0) -> None:
        until = asyncio.get_running_loop().time() + deadline
        nodes = await self._router.every(until)
        for answer in await asyncio.gather(*(node.exchange(("PING",), until) for node in nodes)):
            if isinstance(answer, RedisUnavailable):
                raise answer
            if isinstance(answer, RedisError):
                raise RedisUnavailable(str(answer))

    async def servers(self, deadline: float = 2.0) -> frozenset[str]:
        until = asyncio.get_running_loop().time() + deadline
        nodes = await self._router.every(until)
        return frozenset(await asyncio.gather(*(_identity(node, until) for node in nodes)))

    async def close(self) -> None:
        self._router.close()

    def _call(self, index: int, command: Command) -> Call:
        words: list[Argument] = [command.name, *command.args]
        slot = -1
        for position in command.keys if command.key is not None else ():
            key = words[position + 1]
            text = key.encode() if isinstance(key, str) else key if isinstance(key, bytes) else str(key).encode()
            words[position + 1] = text = self._prefix.encode() + text
            if slot < 0:
                slot = key_slot(text)
        return Call(index, command, tuple(words), slot)

    async def _grouped(
        self, todo: Sequence[Call], asked: dict[int, Node], until: float, answers: list[Answer]
    ) -> list[tuple[Node, list[Call]]]:
        groups: dict[int, tuple[Node, list[Call]]] = {}
        for call in todo:
            call.asking = call.index in asked
            try:
                node = asked.get(call.index) or await self._router.node(call.slot, until)
            except RedisUnavailable as error:
                answers[call.index] = error
                continue
            groups.setdefault(id(node), (node, []))[1].append(call)
        return list(groups.values())

    async def _send(
        self, node: Node, calls: list[Call], until: float, wait: Wait | None, blocking: bool, answers: list[Answer]
    ) -> None:
        heard = await node.send(calls, until, wait, blocking or wait is not None)
        for call, answer in zip(calls, heard, strict=True):
            answers[call.index] = answer

    def _learn(
        self, groups: Sequence[tuple[Node, list[Call]]], answers: Sequence[Answer]
    ) -> tuple[dict[int, Node], bool]:
        """Tells the router what was refused; returns where ASK points, and whether to repeat without a pause."""
        asked: dict[int, Node] = {}
        at_once = bool(groups)
        for node, calls in groups:
            for call in calls:
                answer = answers[call.index]
                if not isinstance(answer, RedisError):
                    continue
                if isinstance(answer, RedisUnavailable):
                    self._router.lost(node)
                    at_once = False
                elif answer.code == "NOSCRIPT":
                    node.forget_scripts()
                elif answer.code in _REFUSED:
                    target = self._router.refused(node, call.slot, answer)
                    if target is not None:
                        asked[call.index] = target
                    at_once = at_once and _REFUSED[answer.code]
        return asked, at_once


async def _identity(node: Node, until: float) -> str:
    """`run_id master_replid role` of a server. Raises RedisUnavailable."""
    found: dict[str, str] = {}
    for answer in await asyncio.gather(*(node.exchange(("INFO", part), until) for part in ("server", "replication"))):
        if isinstance(answer, RedisUnavailable):
            raise answer
        if not isinstance(answer, bytes):
            raise RedisUnavailable(str(answer))
        for line in answer.decode(errors="replace").splitlines():
            name, _, value = line.partition(":")
            found[name] = value
    return " ".join(found.get(name, "") for name in ("run_id", "master_replid", "role"))


def _unknown(answer: Answer) -> bool:
    return isinstance(answer, RedisUnavailable) and answer.executed is None


def _not_executed(answer: Answer) -> bool:
    if isinstance(answer, RedisUnavailable):
        return answer.executed is False
    return isinstance(answer, RedisError) and answer.code in _REFUSED


async def _together(sends: list[Coroutine[object, object, None]]) -> None:
    if len(sends) == 1:
        await sends[0]
        return
    async with asyncio.TaskGroup() as group:
        for send in sends:
            group.create_task(send)
