"""A real HTTP server over a socket that serves one file by ranges and can break off in the middle of an answer."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

RANGE = re.compile(rb"range: bytes=(\d+)-(\d+)", re.IGNORECASE)


@dataclass
class FileServer:
    """`break_after`: bytes of body after which the next answers are cut off, one entry an answer; `statuses` likewise
    are answered instead of the file; `ranges` False answers 200 with everything."""

    content: bytes
    port: int = 0
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/firmware.bin?Expires=1&Signature=a%2Fb"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        try:
            await self._answer(request, writer)
        finally:
            writer.close()

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        found = RANGE.search(request)
        begin, end = (int(found[1]), int(found[2]) + 1) if found else (0, len(self.content))
        self.asked.append((begin, end))
        if self.statuses:
            writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % self.statuses.pop(0))
            return
        head = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n" % (
            begin,
            end - 1,
            len(self.content),
        )
        if not self.ranges:
            begin, end, head = 0, len(self.content), b"HTTP/1.1 200 OK\r\n"
        body = self.content[begin:end]
        writer.write(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
        if self.break_after:
            writer.write(body[: self.break_after.pop(0)])
            await writer.drain()
            writer.transport.abort() if len(self.break_after) % 2 else writer.close()
            return
        writer.write(body)
        await writer.drain()


@asynccontextmanager
async def file_server(content: bytes) -> AsyncIterator[FileServer]:
    server = FileServer(content)
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server
