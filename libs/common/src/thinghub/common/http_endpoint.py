"""The HTTP endpoint for machines that watch us: /metrics, /healthz, /readyz. Nothing else, so no framework.

GET and HEAD only; one request a connection; a request has 5 s and 8 kB. /healthz says 200 as long as the event loop
turns; /readyz says 503 with JSON that names what is not ready.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from thinghub.common.health import Health

REQUEST_SECONDS = 5
REQUEST_BYTES = 8192
CONNECTIONS = 64

log = logging.getLogger("thinghub.common.http_endpoint")


class Endpoint:
    """Answers the three paths from a registry and a health report."""

    def __init__(self, registry: CollectorRegistry, health: Health) -> None:
        self._registry = registry
        self._health = health
        self._serving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[str]:
        """Yields "host:port" as bound. Raises OSError when the port is taken."""
        server = await asyncio.start_server(self._accept, host, port, limit=REQUEST_BYTES)
        try:
            bound = server.sockets[0].getsockname()
            yield f"{bound[0]}:{bound[1]}"
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def answer(self, path: str) -> tuple[str, str, bytes]:
        """Status line, content type, body."""
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._registry)
        if path == "/healthz":
            return "200 OK", "text/plain; charset=utf-8", b"ok\n"
        if path == "/readyz":
            report = self._health.report()
            return "200 OK" if report["ready"] else "503 Service Unavailable", "application/json", orjson.dumps(report)
        return "404 Not Found", "text/plain; charset=utf-8", b"/metrics /healthz /readyz\n"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) >= CONNECTIONS:
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._exchange(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            log.debug("request was not finished")
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method in ("GET", "HEAD"):
            status, content_type, body = self.answer(path)
        else:
            status, content_type, body = "405 Method Not Allowed", "text/plain; charset=utf-8", b"GET only\n"
        lines = (
            f"HTTP/1.1 {status}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        writer.write("\r\n".join((*lines, "", "")).encode() + (b"" if method == "HEAD" else body))
        await writer.drain()
