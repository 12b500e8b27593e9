"""A device as bytes on a socket, and a null bus: what the core's tests hold on to.

Every wait has a generous deadline; no test measures time.
"""

import select
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import Any

import thinghub_gateway_core as core
from thinghub_gateway_core import (
    Accept,
    Attach,
    Batch,
    Core,
    Delivered,
    Downlink,
    Figures,
    Limits,
    LocalMessage,
    Options,
    Record,
    TopicClass,
    TopicRule,
)
from thinghubpb.bus.v1 import record_pb2

WAIT = 20.0

CUSTOM, LIFECYCLE = 0, 1
RULES = [
    TopicRule("/sys/{pk}/{dn}/rrpc/request/+", False, True, -2, "rrpc", True, False, 0),
    TopicRule("/sys/{pk}/{dn}/rrpc/response/+", True, False, -1, "rrpc", False, False, 0),
    TopicRule("/ext/rrpc/#", True, True, -1, "rrpc", True, False, 1),
    TopicRule("/ext/ntp/{pk}/{dn}/request", True, False, -1, "ntp", False, False, 0),
    TopicRule("/sys/{pk}/{dn}/thing/event/+/post", True, False, -2, "thing", False, False, 0),
    TopicRule("/sys/{pk}/{dn}/lifecycle", True, False, LIFECYCLE, "lifecycle", False, False, 0),
    TopicRule("/{pk}/{dn}/user/#", True, True, CUSTOM, "custom", False, True, 0),
    TopicRule("/sys/{pk}/{dn}/#", False, True, -2, "system", False, False, 0),
]
CLASSES = [
    TopicClass("update", True, False),
    TopicClass("update/error", True, False),
    TopicClass("get", False, True),
    TopicClass("tree/#", False, True),
]
LIMITS = Limits(True, 0, 0, 0, 0, 100, False)


def field(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(">H", len(data)) + data


def packet(first: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while True:
        size, digit = size >> 7, size & 0x7F
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([first]) + length + body


def connect_packet(
    client_id: str = "c|securemode=3|",
    username: str = "dev&pk",
    password: str = "secret",
    keep_alive: int = 60,
    flags: int = 0xC2,
    level: int = 4,
    protocol: str = "MQTT",
) -> bytes:
    body = field(protocol) + bytes([level, flags]) + struct.pack(">H", keep_alive) + field(client_id)
    return packet(0x10, body + field(username) + field(password))


def publish_packet(topic: str, payload: bytes = b"x", qos: int = 0, packet_id: int = 1, flags: int = 0) -> bytes:
    head = field(topic) + (struct.pack(">H", packet_id) if qos else b"")
    return packet(0x30 | qos << 1 | flags, head + payload)


def subscribe_packet(packet_id: int, *filters: tuple[str, int]) -> bytes:
    return packet(0x82, struct.pack(">H", packet_id) + b"".join(field(text) + bytes([qos]) for text, qos in filters))


def unsubscribe_packet(packet_id: int, *filters: str) -> bytes:
    return packet(0xA2, struct.pack(">H", packet_id) + b"".join(field(text) for text in filters))


class Device:
    """A blocking client. `receive` gives one decoded packet; `closed` waits for the end of the connection."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._buffer = b""

    def send(self, data: bytes) -> "Device":
        self.socket.sendall(data)
        return self

    def receive(self) -> tuple[str, dict[str, Any]]:
        while True:
            size = self._packet_size()
            if size and len(self._buffer) >= size:
                data, self._buffer = self._buffer[:size], self._buffer[size:]
                return core.codec_decode(data, 1 << 20)[0]
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self._buffer += data

    def _packet_size(self) -> int:
        size, shift = 0, 0
        for index, byte in enumerate(self._buffer[1:5]):
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return 2 + index + size
        return 0

    def pubacks(self, count: int) -> list[int]:
        return [self.expect("puback")["packet_id"] for _ in range(count)]

    def expect(self, kind: str) -> dict[str, Any]:
        got, fields = self.receive()
        assert got == kind, (got, fields)
        return fields

    def quiet(self) -> bool:
        """Whether nothing has come so far: answers to a PING leave after everything before it."""
        self.send(b"\xc0\x00")
        kind, _ = self.receive()
        return kind == "pingresp"

    def closed(self) -> bool:
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        self.socket.close()
        return True

    def close(self) -> None:
        self.socket.close()


class Gateway:
    """A core with a null bus. What `poll` brings is kept until a test asks for it."""

    def __init__(self, partitions: int = 4, tls: str = "sniff", **options: Any) -> None:
        settings: dict[str, Any] = {"origin": "gw-test", "worker_id": 7, **options}
        self.core = Core(Options(**settings))  # type: ignore[typeddict-item]
        self.core.set_streams([partitions, partitions])
        self.core.set_topic_table(RULES)
        self.core.set_product_policy("pk", 1, CLASSES, LIMITS)
        self.port = self.core.listen("127.0.0.1", 0, tls)  # type: ignore[arg-type]
        self.core.start()
        self.seen = Batch._make([] for _ in Batch._fields)
        self.epoch = 0

    def poll(self, wait: float = WAIT) -> bool:
        ready, _, _ = select.select([self.core.event_fd()], [], [], wait)
        kept: tuple[list[Any], ...] = self.seen
        new: tuple[list[Any], ...] = self.core.poll()
        for held, come in zip(kept, new, strict=True):
            held.extend(come)
        return bool(ready)

    def until(self, ready: Callable[[], bool]) -> None:
        while not ready():
            assert self.poll(), "nothing more came"

    def take(self, kept: list[Any], count: int = 1) -> list[Any]:
        self.until(lambda: len(kept) >= count)
        taken, kept[:] = kept[:count], kept[count:]
        return taken

    def device(self, name: str = "dev", ext: int = 0, **connect: Any) -> tuple[Device, int]:
        device = Device(self.port).send(connect_packet(username=f"{name}&pk", **connect))
        return device, self.admit(device, name, ext)

    def admit(self, device: Device, name: str = "dev", ext: int = 0) -> int:
        (request,) = self.take(self.seen.connects)
        self.epoch += 1
        return self._accept(device, Accept(request.conn, "pk", name, self.epoch, ext))

    def _accept(self, device: Device, accept: Accept) -> int:
        (handle,) = self.core.accept([accept])
        assert handle > 0
        assert device.expect("connack") == {"session_present": accept.session_present, "code": 0}
        return handle

    def keep(
        self,
        name: str = "dev",
        present: bool = False,
        subscriptions: Sequence[str] = (),
        stopped: Sequence[str] = (),
    ) -> tuple[Device, int]:
        """A device with a session that outlives its connection, and what it has from before."""
        device = Device(self.port).send(connect_packet(username=f"{name}&pk", flags=0xC0))
        (request,) = self.take(self.seen.connects)
        assert not request.clean
        self.epoch += 1
        accept = Accept(request.conn, "pk", name, self.epoch, 0, False, present, subscriptions, stopped)
        return device, self._accept(device, accept)

    def attach(self, gateway: int, *names: str, product_key: str = "pk", ext: int = 0) -> list[int]:
        """Sub-sessions of these devices on the connection of the session `gateway`: a handle each."""
        attaches = []
        for name in names:
            self.epoch += 1
            attaches.append(Attach(gateway, product_key, name, self.epoch, ext))
        return self.core.attach(attaches)

    def records(self, count: int = 1) -> list[Record]:
        return self.take(self.seen.records, count)

    def messages(self, count: int, commit: bool = True) -> list[record_pb2.Message]:
        """The next `count` messages of the bus, over as many records as they came in."""
        messages: list[record_pb2.Message] = []
        while len(messages) < count:
            (record,) = self.records()
            messages.extend(parse(record).messages)
            if commit:
                self.core.commit([record.record_id])
        assert len(messages) == count
        return messages

    def local(self, count: int = 1) -> list[LocalMessage]:
        return self.take(self.seen.local, count)

    def deliver(
        self,
        handle: int,
        topic: str,
        payload: bytes = b"d",
        qos: int = 0,
        subscribed: bool = True,
        dup: bool = False,
    ) -> None:
        self.core.deliver([Downlink(1, handle, topic, payload, qos, subscribed, dup)])

    def outcome(self) -> str:
        (delivered,) = self.take(self.seen.delivered)
        assert isinstance(delivered, Delivered)
        return delivered.outcome

    def inspect(self, *handles: int) -> list[Figures]:
        self.core.inspect(list(handles))
        return self.take(self.seen.inspected, len(handles))

    def counter(self, name: str, at_least: int = 1) -> int:
        """Value of a counter once it has reached `at_least`; counters rise without an event, so this looks again."""
        for _ in range(int(WAIT * 100)):
            value = self.core.counters().get(name, 0)
            if value >= at_least:
                return value
            self.poll(0.01)
        raise AssertionError(f"{name} is {value}")


def puback_packet(packet_id: int) -> bytes:
    return packet(0x40, struct.pack(">H", packet_id))


def parse(record: Record) -> record_pb2.Record:
    parsed = record_pb2.Record.FromString(record.value)
    assert parsed.SerializeToString(deterministic=True) == record.value
    return parsed


MakeGateway = Callable[..., Gateway]
