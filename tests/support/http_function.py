"""An HTTP server that answers as a test says and notes what it was sent: what a rule's FC action posts to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h11


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Headers = list[tuple[str, str]]


@dataclass
class HttpFunction:
    """`status` may be a function of the request; `silent` reads and never answers; `connections` counts them."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    status: Callable[[Request], int] = field(default=lambda request: 200)
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    delay: float = 0.0
    silent: bool = False
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0

    def url(self, path: str = "/function", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        http = h11.Connection(h11.SERVER)
        try:
            while (request := await _request(http, reader)) is not None:
                self.requests.append(request)
                await self._answer(http, writer, request)
                if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                    break
                http.start_next_cycle()
        except (OSError, h11.ProtocolError):
            pass
        finally:
            writer.close()

    async def _answer(self, http: h11.Connection, writer: asyncio.StreamWriter, request: Request) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(3600 if self.silent else self.delay)
        finally:
            self.at_once -= 1
        headers = [*self.headers, ("Content-Length", str(len(self.body)))]
        for event in (
            h11.Response(status_code=self.status(request), headers=headers),
            h11.Data(self.body),
            h11.EndOfMessage(),
        ):
            writer.write(http.send(event) or b"")
        await writer.drain()


async def _request(http: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            headers = {name.decode(): value.decode() for name, value in head.headers}
            return Request(head.method.decode(), head.target.decode(), headers, body)
        else:
            return None


@asynccontextmanager
async def http_function(tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpFunction]:
    """On the loopback, at a port of its own."""
    function = HttpFunction()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(function._serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    function.port = server.sockets[0].getsockname()[1]
    try:
        yield function
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
