"""A port that speaks HTTP and HTTPS on one socket, told apart by the first byte.

    accept -> wait for the first byte (peeked, 10 s) -> 0x16 is a TLS record: TLS, else plain -> HTTP protocol

The socket is handed to the event loop only after the peek, with the TLS context or without. Connections are bounded:
above the bound, and at the file limit, a new one is accepted and closed at once, so that the backlog never fills.
"""

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Never

from uvicorn.config import Config
from uvicorn.server import ServerState

from thinghub.common.http.protocol import BoundedHttp
from thinghub.common.runtime import Runtime

FIRST_BYTE_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0
TLS_HANDSHAKE = 0x16
BACKLOG = 1024
NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
log = logging.getLogger(__name__)


class Listener:
    """Serves connections of one listening socket. `drain_seconds` is what requests under way get at the end."""

    def __init__(
        self, config: Config, tls: ssl.SSLContext | None, runtime: Runtime, max_connections: int, drain_seconds: float
    ) -> None:
        self._config = config
        self._tls = tls
        self._max_connections = max_connections
        self._drain_seconds = drain_seconds
        self._state = ServerState()
        self._waiting: set[asyncio.Task[None]] = set()
        self._spare = -1
        self._ended = runtime.metrics.counter(
            "connections_refused", "Connections ended unserved, by reason", ("reason",)
        )
        runtime.metrics.gauge("connections", "Open HTTP connections").set_function(self._open)

    def _open(self) -> float:
        return len(self._state.connections) + len(self._waiting)

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
        """Serves while inside; gives the bound address. Raises OSError when it cannot be bound."""
        listening = await _bind(host, port)
        self._spare = os.open(os.devnull, os.O_RDONLY)
        tasks = [asyncio.create_task(self._accept_all(listening)), asyncio.create_task(self._tick())]
        try:
            yield listening.getsockname()[:2]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            listening.close()
            os.close(self._spare)
            await self._drain()

    async def _accept_all(self, listening: socket.socket) -> Never:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:
                await self._accept_failed(listening, error)
                continue
            if self._open() >= self._max_connections:
                self._end(connection, "limit")
                continue
            task = asyncio.create_task(self._start(connection))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _accept_failed(self, listening: socket.socket, error: OSError) -> None:
        """At the file limit the spare descriptor makes room to take one connection and close it."""
        if error.errno in NO_DESCRIPTORS:
            os.close(self._spare)
            try:
                self._end(listening.accept()[0], "descriptors")
            except OSError:
                pass
            finally:
                self._spare = os.open(os.devnull, os.O_RDONLY)
        await asyncio.sleep(0.05)

    async def _start(self, connection: socket.socket) -> None:
        """Hands the connection to the HTTP protocol, or ends it."""
        try:
            connection.setblocking(False)
            async with asyncio.timeout(FIRST_BYTE_SECONDS):
                first = await _peek(connection)
            if not first:
                return self._end(connection, "eof")
            tls = first[0] == TLS_HANDSHAKE
            if tls and self._tls is None:
                return self._end(connection, "tls_off")
            await self._serve(connection, self._tls if tls else None)
        except TimeoutError:
            self._end(connection, "silent")
        except (OSError, ssl.SSLError):
            self._end(connection, "handshake")
        except asyncio.CancelledError:
            connection.close()
            raise

    async def _serve(self, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        factory: Callable[[], BoundedHttp] = lambda: BoundedHttp(self._config, self._state, loop)  # noqa: E731
        if tls is None:
            await loop.connect_accepted_socket(factory, connection)
        else:
            await loop.connect_accepted_socket(
                factory, connection, ssl=tls, ssl_handshake_timeout=HANDSHAKE_SECONDS, ssl_shutdown_timeout=5.0
            )

    def _end(self, connection: socket.socket, reason: str) -> None:
        self._ended.labels(reason).inc()
        connection.close()

    async def _tick(self) -> Never:
        while True:
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            await asyncio.sleep(1)

    async def _drain(self) -> None:
        """Idle connections close at once; requests under way may finish within the bound."""
        for task in self._waiting:
            task.cancel()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=self._drain_seconds)
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()


async def _peek(connection: socket.socket) -> bytes:
    """The first byte, left in the socket; empty at end of file."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _wake, readable)
    try:
        await readable
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)


def _wake(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)


async def _bind(host: str, port: int) -> socket.socket:
    info = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
    )
    family, kind, protocol, _, address = info[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
