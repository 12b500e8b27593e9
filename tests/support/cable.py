"""A TCP path between a device and a server that a test can cut, hold, and lead elsewhere."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Cable:
    """`target` may change; new connections go to it. `hold_answers` keeps back what the server sends."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        self.connections = 0
        self._answers = asyncio.Event()
        self._answers.set()
        self._writers: set[asyncio.StreamWriter] = set()

    def hold_answers(self) -> None:
        self._answers.clear()

    def release_answers(self) -> None:
        self._answers.set()

    def cut(self) -> None:
        """Both ends see a reset; what was held back is lost."""
        for writer in self._writers:
            writer.transport.abort()
        self._answers.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            there, back = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        await asyncio.gather(self._copy(reader, back, False), self._copy(there, writer, True))
        self._writers -= {writer, back}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if held:
                    await self._answers.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def cable(target: tuple[str, int]) -> AsyncIterator[Cable]:
    made = Cable(target)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut()
