"""A device that moves between gateways: it leaves, drops its connection or is taken over, and flees one that is silent.

One `Roamer` is one device. Packets are written by hand, so that nothing between the ledger and the wire resends,
reorders or forgets by itself.
"""

import asyncio
import contextlib
import random
import struct
from collections.abc import Callable, Iterator, Sequence

from tests.support.identity import Identity, Login
from tests.support.mqtt_load import remaining_length, text

CONNACK, PUBLISH, PUBACK, SUBACK = 0x20, 0x30, 0x40, 0x90
PINGREQ, DISCONNECT = b"\xc0\x00", b"\xe0\x00"
TICK, PING_EVERY, SILENCE, PATIENCE = 0.1, 1.5, 4.0, 6.0
STAY = (4.0, 20.0)

Address = tuple[str, int]


class Broken(Exception):
    """The connection is of no use any more."""


class Roamer:
    """Runs until `leaving`; with `settled` it stays where it is. `up` says whether it holds an answering connection."""

    def __init__(self, identity: Identity, gateways: Sequence[Address], seed: int, *, clean: bool) -> None:
        self.identity = identity
        self.name = identity.device_name
        self.up = False
        self.leaving = self.settled = False
        self.connects = self.hops = self.breaks = 0
        self.refusals: dict[int, int] = {}
        self._clean = clean
        self._gateways = list(gateways)
        self._rng = random.Random(f"{seed}/{self.name}")
        self._at: Address | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._former: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        while not self.leaving:
            try:
                await self._visit(self._elsewhere())
            except (OSError, TimeoutError, EOFError, Broken):
                self.breaks += 1
                self._end(self._writer)
                await asyncio.sleep(self._rng.uniform(0.1, 0.6))
            finally:
                self.up = False
        self._end(self._former)
        self._end(self._writer)

    def came(self, session_present: bool) -> None:
        """CONNACK said yes."""

    def took(self, kind: int, flags: int, body: bytes) -> None:
        """A packet other than CONNACK came."""

    def tick(self) -> None:
        """Many times a second while connected."""

    def write(self, packet: bytes) -> None:
        if self._writer is not None:
            self._writer.write(packet)

    def _elsewhere(self) -> Address:
        others = [one for one in self._gateways if one != self._at] or self._gateways
        self._at = self._rng.choice(others)
        return self._at

    async def _visit(self, address: Address) -> None:
        reader, self._writer = await asyncio.wait_for(asyncio.open_connection(*address), PATIENCE)
        self.write(connect_packet(self.identity.login(), clean=self._clean))
        code, present = await self._connack(reader)
        self._end(self._former)
        self._former = None
        if code:
            self.refusals[code] = self.refusals.get(code, 0) + 1
            raise Broken(f"CONNACK {code}")
        self.connects += 1
        self.up = True
        self.came(present)
        await self._stay(reader)
        self.hops += 1
        await self._go()

    async def _connack(self, reader: asyncio.StreamReader) -> tuple[int, bool]:
        head = await asyncio.wait_for(reader.readexactly(4), PATIENCE)
        if head[0] != CONNACK:
            raise Broken(f"packet {head[0]:#x} came before CONNACK")
        return head[3], bool(head[2] & 1)

    async def _stay(self, reader: asyncio.StreamReader) -> None:
        """Until it is time to move on; raises when the other end is gone or silent."""
        loop = asyncio.get_running_loop()
        moves, heard, pinged = loop.time() + self._rng.uniform(*STAY), loop.time(), loop.time()
        buffer = b""
        while not self.leaving and (self.settled or loop.time() < moves):
            self.tick()
            if loop.time() > pinged + PING_EVERY:
                pinged = loop.time()
                self.write(PINGREQ)
            with contextlib.suppress(TimeoutError):
                data = await asyncio.wait_for(reader.read(65536), TICK)
                if not data:
                    raise Broken("closed")
                heard, buffer = loop.time(), self._packets(buffer + data)
            if loop.time() > heard + SILENCE:
                raise Broken("silent")

    def _packets(self, data: bytes) -> bytes:
        """Takes the whole packets; returns what is left over."""
        at = 0
        for start, end in whole_packets(data):
            self.took(data[at] & 0xF0, data[at] & 0x0F, data[start:end])
            at = end
        return data[at:]

    async def _go(self) -> None:
        """Says good-bye, or breaks off, or stays connected until the next gateway has taken it over."""
        way = "leave" if self.leaving else self._rng.choice(("leave", "drop", "taken over"))
        if way == "taken over":
            self._former = self._writer
            return
        if way == "leave" and self._writer is not None:
            self._writer.write(DISCONNECT)
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._writer.drain(), PATIENCE)
            self._writer.close()
        self._end(self._writer, abort=way == "drop")

    def _end(self, writer: asyncio.StreamWriter | None, *, abort: bool = True) -> None:
        if writer is not None:
            if abort:
                writer.transport.abort()
            else:
                writer.close()


class Uplinker(Roamer):
    """Publishes numbers from 1 with QoS 1; after a move it sends again, in order, what was not acknowledged."""

    def __init__(
        self, identity: Identity, gateways: Sequence[Address], seed: int, may_send: Callable[[int], bool]
    ) -> None:
        super().__init__(identity, gateways, seed, clean=True)
        self.sent = self.resent = self.out_of_order = 0
        self.acknowledged: set[int] = set()
        self._may_send = may_send
        self._attempts: dict[int, int] = {}
        self._again: list[int] = []
        self._waiting: list[tuple[int, int]] = []
        self._packet_id = 0

    @property
    def owes(self) -> int:
        return self.sent - len(self.acknowledged)

    def came(self, session_present: bool) -> None:
        self._again = sorted({number for _, number in self._waiting} | set(self._again))
        self._waiting.clear()

    def tick(self) -> None:
        while len(self._waiting) < 5 and (number := self._next()):
            self._packet_id = self._packet_id % 65535 + 1
            self._attempts[number] = self._attempts.get(number, 0) + 1
            self._waiting.append((self._packet_id, number))
            payload = f'{{"d":"{self.name}","n":{number},"a":{self._attempts[number]}}}'
            self.write(publish_packet(self.identity.topic("update"), payload.encode(), self._packet_id))

    def took(self, kind: int, flags: int, body: bytes) -> None:
        if kind != PUBACK or not self._waiting:
            return
        expected, number = self._waiting.pop(0)
        self.out_of_order += expected != struct.unpack("!H", body)[0]
        self.acknowledged.add(number)

    def _next(self) -> int:
        if self._again:
            self.resent += 1
            return self._again.pop(0)
        if self.settled or self.leaving or not self._may_send(self.sent):
            return 0
        self.sent += 1
        return self.sent


class Downlinker(Roamer):
    """Takes messages in a persistent session and acknowledges each; `arrived` is what came, in order.

    An entry is the payload and the DUP flag. `forgotten` counts CONNACKs that knew nothing of a session that was
    confirmed before.
    """

    def __init__(self, identity: Identity, gateways: Sequence[Address], seed: int) -> None:
        super().__init__(identity, gateways, seed, clean=False)
        self.arrived: list[tuple[bytes, bool]] = []
        self.subscribed = False
        self.forgotten = 0

    def came(self, session_present: bool) -> None:
        if self.subscribed and not session_present:
            self.forgotten += 1
        if not session_present or not self.subscribed:
            self.write(subscribe_packet(self.identity.topic("get")))

    def took(self, kind: int, flags: int, body: bytes) -> None:
        if kind == SUBACK:
            self.subscribed = body[2] == 1
        if kind == PUBLISH:
            (length,) = struct.unpack_from("!H", body)
            self.arrived.append((body[4 + length :], bool(flags & 8)))
            self.write(bytes([PUBACK, 2]) + body[2 + length : 4 + length])


def whole_packets(data: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of the body of each complete packet."""
    at = 0
    while (size := body_size(data, at)) is not None:
        start, length = size
        if start + length > len(data):
            return
        yield start, start + length
        at = start + length


def body_size(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at `at` begins and how long it is; None when that is not known yet."""
    length = 0
    for index, byte in enumerate(data[at + 1 : at + 5]):
        length |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return at + 2 + index, length
    return None


def connect_packet(login: Login, *, clean: bool, keep_alive: int = 60) -> bytes:
    body = text("MQTT") + bytes([4, 0xC0 | (2 if clean else 0)]) + struct.pack("!H", keep_alive)
    body += text(login.client_id) + text(login.username) + text(login.password)
    return bytes([0x10]) + remaining_length(len(body)) + body


def publish_packet(topic: str, payload: bytes, packet_id: int) -> bytes:
    body = text(topic) + struct.pack("!H", packet_id) + payload
    return bytes([PUBLISH | 2]) + remaining_length(len(body)) + body


def subscribe_packet(topic: str) -> bytes:
    body = struct.pack("!H", 1) + text(topic) + b"\x01"
    return b"\x82" + remaining_length(len(body)) + body
