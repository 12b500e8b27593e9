"""A small MQTT 3.1.1 publisher for ledgers and benchmarks: QoS 1 with a window, numbered payloads, resend on reconnect.

One `Publisher` is one device on one connection. It writes packets by hand, many to a write, so that the generator is
not what a measurement measures.
"""

import asyncio
import random
import struct
from collections import deque
from collections.abc import Callable

from tests.support.identity import Login

CONNACK, PUBLISH, PUBACK, PINGRESP = 0x20, 0x30, 0x40, 0xD0


def remaining_length(n: int) -> bytes:
    out = bytearray()
    while True:
        n, low = divmod(n, 128)
        out.append(low | (0x80 if n else 0))
        if not n:
            return bytes(out)


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("!H", len(raw)) + raw


def connect_packet(login: Login, keep_alive: int = 120) -> bytes:
    body = text("MQTT") + bytes([4, 0xC2]) + struct.pack("!H", keep_alive)
    body += text(login.client_id) + text(login.username) + text(login.password)
    return bytes([0x10]) + remaining_length(len(body)) + body


def publish_packet(topic: str, payload: bytes, packet_id: int) -> bytes:
    body = text(topic) + struct.pack("!H", packet_id) + payload
    return bytes([PUBLISH | 2]) + remaining_length(len(body)) + body


class Publisher(asyncio.Protocol):
    """Publishes numbers from 1; `acked` counts PUBACKs, `acknowledged` holds their numbers.

    `rate` is messages a second (0: as fast as the window lets it); `limit` the last number (0: none).
    """

    def __init__(
        self,
        login: Login,
        topic: str,
        payload: Callable[[int], bytes],
        *,
        window: int = 1,
        rate: float = 0,
        limit: int = 0,
    ) -> None:
        self.login, self.topic, self.payload = login, topic, payload
        self.window, self.rate, self.limit = window, rate, limit
        self.sent = 0
        self.acked = 0
        self.connects = 0
        self.refusals: dict[int, int] = {}
        self.acknowledged: set[int] = set()
        self.on_ack: Callable[[int], None] | None = None
        self.stopping = False
        self._unacked: deque[tuple[int, int]] = deque()
        self._resend: deque[int] = deque()
        self._packet_id = 0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._up = False
        self._gone = asyncio.Event()
        self._started = 0.0

    async def run(self, host: str, port: int) -> None:
        """Connects, publishes, reconnects with a short random pause, until stopped or the limit is acknowledged."""
        loop = asyncio.get_running_loop()
        self._started = loop.time()
        while not self._finished():
            self._gone.clear()
            try:
                await asyncio.wait_for(loop.create_connection(lambda: self, host, port), 10)
            except (OSError, TimeoutError):
                await asyncio.sleep(random.uniform(0.1, 0.5))
                continue
            try:
                await self._until_gone(loop)
            finally:
                if self._transport is not None:
                    self._transport.abort()
            if not self._finished():
                await asyncio.sleep(random.uniform(0.1, 0.5))

    async def _until_gone(self, loop: asyncio.AbstractEventLoop) -> None:
        deadline = loop.time() + 10
        while not self._gone.is_set() and not self._finished():
            if not self._up and loop.time() > deadline:
                return
            if self._up:
                self._fill()
            try:
                await asyncio.wait_for(self._gone.wait(), 0.02 if self.rate else 0.2)
            except TimeoutError:
                continue

    def _finished(self) -> bool:
        done = bool(self.limit) and self.acked >= self.limit
        return done or (self.stopping and not self._unacked and not self._resend)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""
        transport.write(connect_packet(self.login))

    def connection_lost(self, exc: Exception | None) -> None:
        self._up = False
        self._transport = None
        self._resend = deque(sorted({number for _, number in self._unacked} | set(self._resend)))
        self._unacked.clear()
        self._gone.set()

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data
        at = 0
        while len(data) - at >= 2:
            kind, length = data[at] & 0xF0, data[at + 1]
            if length >= 128 or len(data) - at < 2 + length:
                break
            body = data[at + 2 : at + 2 + length]
            at += 2 + length
            if kind == PUBACK:
                self._on_puback(struct.unpack("!H", body)[0])
            elif kind == CONNACK:
                self._on_connack(body[1])
        self._buffer = data[at:]
        if self._up:
            self._fill()

    def _on_connack(self, code: int) -> None:
        if code:
            self.refusals[code] = self.refusals.get(code, 0) + 1
            assert self._transport is not None
            self._transport.close()
        else:
            self.connects += 1
            self._up = True

    def _on_puback(self, packet_id: int) -> None:
        expected, number = self._unacked.popleft()
        if expected != packet_id:
            raise AssertionError(f"PUBACK {packet_id} came before {expected}: acknowledgements out of order")
        self.acked += 1
        self.acknowledged.add(number)
        if self.on_ack is not None:
            self.on_ack(number)

    def _fill(self) -> None:
        packets = []
        while len(self._unacked) < self.window and (number := self._next()):
            self._packet_id = self._packet_id % 65535 + 1
            self._unacked.append((self._packet_id, number))
            packets.append(publish_packet(self.topic, self.payload(number), self._packet_id))
        if packets and self._transport is not None:
            self._transport.write(b"".join(packets))

    def _next(self) -> int:
        if self._resend:
            return self._resend.popleft()
        if self.stopping or (self.limit and self.sent >= self.limit):
            return 0
        if self.rate and self.sent >= (asyncio.get_running_loop().time() - self._started) * self.rate:
            return 0
        self.sent += 1
        return self.sent
