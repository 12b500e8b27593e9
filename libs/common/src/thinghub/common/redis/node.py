"""One server: its connections, made when needed, and chunks of commands sent over them.

Ordinary batches share one connection. A batch that waits on the server (WAIT, blocking reads) has a connection to
itself while it runs, out of a small pool, so that nobody queues behind it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from thinghub.common.redis.connection import Connection, connect
from thinghub.common.redis.port import Answer, Argument, Command, NotReplicated, RedisError, RedisUnavailable, Wait
from thinghub.common.redis.urls import Login, Server

CHUNK_COMMANDS = 1000
CHUNK_BYTES = 1 << 20
CHUNKS_IN_FLIGHT = 64
OWN_CONNECTIONS = 16
IDLE_CONNECTIONS = 4
PAUSE_MIN, PAUSE_MAX = 0.02, 0.5


@dataclass(slots=True)
class Call:
    """A command on its way: its place in the caller's batch, its words with prefixed keys, and whether to say
    ASKING."""

    index: int
    command: Command
    words: tuple[Argument, ...]
    slot: int = -1
    asking: bool = False


class Node:
    """A server by its address."""

    def __init__(self, server: Server, login: Login) -> None:
        self.server = server
        self._login = login
        self._shared: Connection | None = None
        self._connecting = asyncio.Lock()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._in_flight = asyncio.Semaphore(CHUNKS_IN_FLIGHT)
        self._own = asyncio.Semaphore(OWN_CONNECTIONS)
        self._pause = 0.0
        self._not_before = 0.0
        self._closed = False

    async def send(self, calls: Sequence[Call], until: float, wait: Wait | None, alone: bool) -> list[Answer]:
        """One answer a call; raises nothing. After a lost connection the rest is not sent."""
        answers: list[Answer] = []
        try:
            async with self._connection(until, alone) as connection:
                for chunk in _chunks(calls):
                    answers += await self._exchange(connection, chunk, until, wait)
                    if connection.lost:
                        break
        except RedisUnavailable as error:
            return [*answers, *(RedisUnavailable(error.message) for _ in range(len(calls) - len(answers)))]
        return [*answers, *(RedisUnavailable("connection lost") for _ in range(len(calls) - len(answers)))]

    async def exchange(self, words: tuple[Argument, ...], until: float) -> Answer:
        """One bare command, as given."""
        return (await self.send([Call(0, Command(str(words[0]), words[1:], None, ()), words)], until, None, False))[0]

    def forget_scripts(self) -> None:
        """The server has lost its scripts: each connection will give them again."""
        for connection in self._open:
            connection.scripts.clear()

    def close(self) -> None:
        self._closed = True
        for connection in list(self._open):
            connection.abort("closed")
        self._open.clear()
        self._idle.clear()
        self._shared = None

    async def _exchange(
        self, connection: Connection, calls: Sequence[Call], until: float, wait: Wait | None
    ) -> list[Answer]:
        sent: list[tuple[Argument, ...]] = []
        places: list[int] = []
        for call in calls:
            script = call.command.script
            if script is not None and script.sha not in connection.scripts:
                sent.append(("SCRIPT", "LOAD", script.text))
                connection.scripts.add(script.sha)
            if call.asking:
                sent.append(("ASKING",))
            places.append(len(sent))
            sent.append(call.words)
        if wait is not None:
            left_ms = int((until - asyncio.get_running_loop().time()) * 1000)
            sent.append(("WAIT", wait.replicas, max(1, min(wait.timeout_ms, left_ms))))
        heard = await connection.exchange(sent, until)
        answers = [heard[place] for place in places]
        return answers if wait is None else _confirmed(answers, heard[-1], wait)

    @asynccontextmanager
    async def _connection(self, until: float, alone: bool) -> AsyncIterator[Connection]:
        async with holding(self._own if alone else self._in_flight, until, f"{self.server}: too much in flight"):
            if not alone:
                yield await self._get_shared(until)
                return
            connection = await self._get_own(until)
            try:
                yield connection
            finally:
                self._put_back(connection)

    def _put_back(self, connection: Connection) -> None:
        reusable = not (connection.lost or connection.busy or self._closed)
        if reusable and len(self._idle) < IDLE_CONNECTIONS:
            self._idle.append(connection)
            return
        connection.abort("given up")
        self._open.discard(connection)

    async def _get_shared(self, until: float) -> Connection:
        if self._shared is not None and not self._shared.lost:
            return self._shared
        async with holding(self._connecting, until, f"{self.server} is away"):
            if self._shared is None or self._shared.lost:
                self._shared = await self._connect(until)
            return self._shared

    async def _get_own(self, until: float) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost:
                return connection
            self._open.discard(connection)
        return await self._connect(until)

    async def _connect(self, until: float) -> Connection:
        """Fails at once during the pause after a failed attempt."""
        loop = asyncio.get_running_loop()
        if self._closed:
            raise RedisUnavailable("closed")
        if loop.time() < self._not_before:
            raise RedisUnavailable(f"{self.server} is away")
        try:
            connection = await connect(self.server, self._login, until)
        except RedisUnavailable:
            self._pause = min(max(self._pause * 2, PAUSE_MIN), PAUSE_MAX)
            self._not_before = loop.time() + self._pause
            raise
        self._pause = 0.0
        self._open = {one for one in self._open if not one.lost} | {connection}
        if self._closed:
            connection.abort("closed")
        return connection


@asynccontextmanager
async def holding(limit: asyncio.Lock | asyncio.Semaphore, until: float, why: str) -> AsyncIterator[None]:
    """Holds the lock; raises RedisUnavailable, saying why, when it cannot be had by `until`."""
    if limit.locked():
        try:
            async with asyncio.timeout_at(until):
                await limit.acquire()
        except TimeoutError:
            raise RedisUnavailable(why) from None
    else:
        await limit.acquire()
    try:
        yield
    finally:
        limit.release()


def _confirmed(answers: list[Answer], replicas: Answer, wait: Wait) -> list[Answer]:
    if isinstance(replicas, int) and replicas >= wait.replicas:
        return answers
    why = f"confirmed by {replicas if isinstance(replicas, int) else 'none'} of {wait.replicas} replicas"
    return [answer if isinstance(answer, RedisError) else NotReplicated(why, answer) for answer in answers]


def _chunks(calls: Sequence[Call]) -> Iterator[Sequence[Call]]:
    """Slices bounded in commands and bytes (a single larger command is a slice of its own)."""
    begin = size = 0
    for at, call in enumerate(calls):
        cost = 0
        for word in call.words:
            cost += len(word) if isinstance(word, (bytes, str)) else 8
        if at > begin and (at - begin >= CHUNK_COMMANDS or size + cost > CHUNK_BYTES):
            yield calls[begin:at]
            begin, size = at, 0
        size += cost
    if begin < len(calls):
        yield calls[begin:]
