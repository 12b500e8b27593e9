"""One connection: commands written in a row, answers matched by their order.

Several batches share it: a batch is written at once and waits for its answers. When the connection is lost, a batch
keeps the answers that came; the rest is `RedisUnavailable(executed=None)`, for nobody can know.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any, cast

import hiredis

from thinghub.common.redis.port import Answer, Argument, RedisError, RedisUnavailable
from thinghub.common.redis.urls import Login, Server

CONNECT_SECONDS = 2.0
SILENT_SECONDS = 1.0

log = logging.getLogger("thinghub.common.redis")


class _Batch:
    __slots__ = ("answers", "done", "size", "written_at")

    def __init__(self, size: int, done: "asyncio.Future[None]", written_at: float) -> None:
        self.size = size
        self.answers: list[Answer] = []
        self.done = done
        self.written_at = written_at


class Connection(asyncio.Protocol):
    """Made by `connect`. Not for more than one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=RedisError)
        self._batches: deque[_Batch] = deque()
        self._transport: asyncio.Transport | None = None
        self._heard_at = 0.0
        self._writable = asyncio.Event()
        self._writable.set()
        self.scripts: set[str] = set()  # that its server has been given by this connection
        self.lost = False

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False:
                self._answered(answer)
        except (hiredis.ProtocolError, IndexError) as error:
            self.abort(f"not Redis's protocol: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"connection lost: {exc}" if exc else "connection closed by the server")

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # -- ours

    @property
    def busy(self) -> bool:
        return bool(self._batches)

    async def exchange(self, commands: Sequence[tuple[Argument, ...]], until: float) -> list[Answer]:
        """Writes all and returns one answer each; at `until` (loop time) what has not come is RedisUnavailable."""
        if not await self._may_write(until):
            return [RedisUnavailable("the server takes no more", False) for _ in commands]
        if self.lost or self._transport is None:
            return [RedisUnavailable("connection lost", False) for _ in commands]
        batch = _Batch(len(commands), self._loop.create_future(), self._loop.time())
        self._batches.append(batch)
        self._transport.write(b"".join([hiredis.pack_command(cast(Any, command)) for command in commands]))
        why = "connection lost"
        try:
            async with asyncio.timeout_at(until):
                await batch.done
        except TimeoutError:
            why = "no answer in time"
            self._give_up_if_silent()
        missing = batch.size - len(batch.answers)
        return [*batch.answers, *(RedisUnavailable(why, None) for _ in range(missing))]

    def abort(self, why: str) -> None:
        """Drops the connection now; whoever waits on it is answered."""
        if self._transport is not None:
            self._transport.abort()
        self._end(why)

    async def _may_write(self, until: float) -> bool:
        if self._writable.is_set():
            return True
        try:
            async with asyncio.timeout_at(until):
                await self._writable.wait()
        except TimeoutError:
            return False
        return True

    def _give_up_if_silent(self) -> None:
        """Somebody's deadline came. A server that has said nothing for a while is taken for frozen; the next connection
        has to prove that it is not. A short deadline alone does not cost the others their answers."""
        if self._batches and self._loop.time() - max(self._heard_at, self._batches[0].written_at) >= SILENT_SECONDS:
            self.abort("no answer in time")

    def _answered(self, answer: Answer) -> None:
        batch = self._batches[0]
        batch.answers.append(answer)
        if len(batch.answers) == batch.size:
            self._batches.popleft()
            if not batch.done.done():
                batch.done.set_result(None)

    def _end(self, why: str) -> None:
        if self.lost:
            return
        self.lost = True
        self._writable.set()
        for batch in self._batches:
            if not batch.done.done():
                batch.done.set_result(None)
        self._batches.clear()


async def connect(server: Server, login: Login, until: float) -> Connection:
    """A connection that has said who it is and heard the server answer. Raises RedisUnavailable."""
    loop = asyncio.get_running_loop()
    until = min(until, loop.time() + CONNECT_SECONDS)
    try:
        async with asyncio.timeout_at(until):
            if server.port:
                _, connection = await loop.create_connection(Connection, server.host, server.port, ssl=login.tls)
            else:
                _, connection = await loop.create_unix_connection(Connection, server.host)
    except TimeoutError:
        raise RedisUnavailable(f"{server} does not accept") from None
    except OSError as error:
        raise RedisUnavailable(f"{server}: {error.strerror or error}") from None
    try:
        await _greet(connection, server, login, until)
    except BaseException:
        connection.abort("not greeted")
        raise
    return connection


async def _greet(connection: Connection, server: Server, login: Login, until: float) -> None:
    hello: list[tuple[Argument, ...]] = []
    if login.password:
        hello.append(("AUTH", login.username, login.password) if login.username else ("AUTH", login.password))
    if login.db:
        hello.append(("SELECT", login.db))
    hello.append(("PING",))
    for answer in await connection.exchange(hello, until):
        if isinstance(answer, RedisUnavailable):
            raise RedisUnavailable(f"{server}: {answer.message}")
        if isinstance(answer, RedisError) and answer.code != "MASTERDOWN":
            raise RedisUnavailable(f"{server}: {answer}")
