"""One HTTP connection: uvicorn's httptools protocol, with bounds on how long and how large a request's head may be.

uvicorn bounds neither: a peer could send one header byte a minute for ever, or headers without end. A head has 10 s
from its first byte and 64 KiB; then the connection ends with 408 or 431.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

HEAD_SECONDS = 10.0
MAX_HEAD = 64 * 1024
LINGER_SECONDS = 5.0


class BoundedHttp(HttpToolsProtocol):
    def __init__(self, config: Config, server_state: ServerState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, server_state, app_state={}, _loop=loop)
        self._reading_head = True
        self._head_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_lingering()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._reading_head:
            if self._deadline is None:  # the first byte of a further request on this connection
                self._await_head()
            self._head_bytes += len(data)
        super().data_received(data)
        if self._reading_head and self._head_bytes > MAX_HEAD:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        self._reading_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop_lingering()
        self._reading_head, self._head_bytes = True, 0

    def on_response_complete(self) -> None:
        """After an answer that came before the whole body, the rest is thrown away, but not for long; once it has come
        the connection is as good as any."""
        if self.cycle.more_body:
            self._linger = self.loop.call_later(LINGER_SECONDS, self.transport.close)
        super().on_response_complete()

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._refuse, b"408 Request Timeout")

    def _stop_timer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_lingering(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def _refuse(self, status: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()


def http_config(app: Any) -> Config:  # Any: an ASGI application, whose type uvicorn writes in its own words
    """How uvicorn's protocol class behaves here: no access log, no lifespan; a quiet connection has 75 s."""
    config = Config(
        app,
        http=BoundedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
    )
    config.load()
    return config
