"""A file's ranges over HTTP. The standard library's client blocks; it and its threads stay in this module."""

import asyncio
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from thinghub.device_sdk.errors import DownloadError

CHUNK = 64 * 1024
OK, PARTIAL, RANGE_NOT_SATISFIABLE = 200, 206, 416
SCHEMES = ("http://", "https://")
# What a break looks like: of the socket, of the protocol, of the body.
BREAKS = (OSError, http.client.HTTPException)


class RefusedByServer(DownloadError):
    """An HTTP status that says no; `status` tells which."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the file server answered {status}")
        self.status = status

    @property
    def permanent(self) -> bool:
        """Client errors are, except those that ask to come again (408, 429)."""
        return 400 <= self.status < 500 and self.status not in (408, 429)


@dataclass(frozen=True, slots=True)
class Part:
    """`start` is where the bytes begin in the file: 0 when the server does not do ranges."""

    start: int
    _response: Any

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises one of BREAKS when the connection breaks before the announced end."""
        while chunk := await asyncio.to_thread(self._response.read, CHUNK):
            yield chunk
        if self._response.length:
            raise http.client.IncompleteRead(b"", self._response.length)


@asynccontextmanager
async def fetch(url: str, begin: int, end: int, *, timeout: float, tls: ssl.SSLContext | None) -> AsyncIterator[Part]:
    """Bytes `begin` to `end` (not included) of the file. Each wait on the socket takes `timeout` seconds at most.

    Raises RefusedByServer, DownloadError for an address that is not HTTP, one of BREAKS."""
    if not url.startswith(SCHEMES):
        raise DownloadError("the address of the file is not http:// or https://")
    request = urllib.request.Request(url, headers={"Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"})
    response = await asyncio.to_thread(_open, request, timeout, tls)
    try:
        yield Part(_start(response, begin), response)
    finally:
        # in a thread, because it waits for a read that may still be going on after a cancellation
        asyncio.get_running_loop().run_in_executor(None, response.close)


def _open(request: urllib.request.Request, timeout: float, tls: ssl.SSLContext | None) -> Any:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls or ssl.create_default_context())
    )
    try:
        return opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        raise RefusedByServer(error.code) from error


def _start(response: Any, begin: int) -> int:
    if response.status == OK:
        return 0
    unit, _, rest = (response.headers.get("Content-Range") or "").partition(" ")
    start = rest.partition("-")[0]
    if response.status != PARTIAL or unit != "bytes" or not start.isdigit() or int(start) != begin:
        raise DownloadError(f"the file server answered {response.status} without the range that was asked for")
    return begin
