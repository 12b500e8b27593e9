"""One HTTP/1.1 exchange after another on a connection that leads to an address that was looked at.

h11 knows the protocol; here are the sockets. A name is resolved, every address it has is judged, and the connection
goes to one of those very addresses: what the name answers a moment later does not matter. Redirects are not followed,
proxies and cookies do not exist, and of an answer no more is read than its bound.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

import h11

from thinghub.rule_engine.domain.urls import Network, Url, may_connect

MAX_HEADERS = 16 << 10
MAX_BODY = 64 << 10
_READ = 16 << 10
Headers = list[tuple[str, str]]


class AddressRefused(Exception):
    """The name leads where no operator allowed it to."""


class Broken(Exception):
    """The connection ended, or what came was not HTTP. `unused`: nothing had come, so another connection may do."""

    def __init__(self, why: str, unused: bool) -> None:
        super().__init__(why)
        self.unused = unused


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


async def addresses(url: Url, allowed: Sequence[Network]) -> list[str]:
    """Where the host is, all of it permitted. Raises AddressRefused, OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=1)  # SOCK_STREAM
    unique = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in unique:
        if not may_connect(address, allowed):
            raise AddressRefused(f"{url.host} is {address}, which is not a permitted target")
    return unique


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADERS)
        self.reusable = True

    @classmethod
    async def open(cls, url: Url, allowed: Sequence[Network], tls: ssl.SSLContext) -> "Connection":
        """Raises AddressRefused, OSError (also of TLS)."""
        last: OSError = OSError(f"{url.host} has no address")
        for address in await addresses(url, allowed):
            try:
                reader, writer = await asyncio.open_connection(
                    address,
                    url.port,
                    ssl=tls if url.secure else None,
                    server_hostname=url.host if url.secure else None,
                    limit=_READ,
                )
            except OSError as error:
                last = error
                continue
            return cls(reader, writer)
        raise last

    async def post(self, url: Url, headers: Headers, body: bytes) -> Answer:
        """Raises Broken. Cancelled in between, the connection is of no more use."""
        self.reusable = False
        request = h11.Request(
            method="POST",
            target=url.target,
            headers=[("Host", url.authority), *headers, ("Content-Length", str(len(body)))],
        )
        parts = (self._http.send(request), self._http.send(h11.Data(body)), self._http.send(h11.EndOfMessage()))
        try:
            self._writer.write(b"".join(part for part in parts if part))
            await self._writer.drain()
        except OSError as error:
            raise Broken(f"the request could not be sent: {error}", unused=True) from error
        answer = await self._answer()
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self.reusable = True
        return answer

    async def _answer(self) -> Answer:
        status, body, received = 0, bytearray(), False
        while True:
            try:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    data = await self._reader.read(_READ)
                    self._http.receive_data(data)
                    received = received or bool(data)
                    continue
            except (h11.RemoteProtocolError, OSError) as error:
                if status:
                    break  # it has said what it thinks of the message
                raise Broken(str(error) or type(error).__name__, unused=not received) from error
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY:
                    break
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                raise Broken("the connection was closed", unused=not received)
        return Answer(status, bytes(body[:MAX_BODY]))

    def close(self) -> None:
        """At once: nothing that is still on its way matters."""
        self._writer.transport.abort()
