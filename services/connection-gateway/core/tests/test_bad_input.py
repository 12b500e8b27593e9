"""The table of bad input: what ends a connection, what is refused, and that the others never notice."""

import struct

import pytest

from tests.support.gateway_core import (
    Device,
    Gateway,
    MakeGateway,
    connect_packet,
    field,
    packet,
    publish_packet,
    subscribe_packet,
)

UPDATE = "/pk/dev/user/update"

LIVE = {
    "qos 2 publish": (packet(0x34, field(UPDATE) + b"\x00\x01"), "qos2"),
    "qos 3 publish": (packet(0x36, field(UPDATE) + b"\x00\x01"), "bad_qos"),
    "plus in a publish topic": (publish_packet("/pk/+/user/update"), "bad_topic"),
    "hash in a publish topic": (publish_packet("/pk/dev/#"), "bad_topic"),
    "empty publish topic": (publish_packet(""), "bad_topic"),
    "topic that is not utf-8": (packet(0x30, b"\x00\x02\xff\xfe"), "bad_utf8"),
    "surrogate in a topic": (packet(0x30, b"\x00\x03\xed\xa0\x80"), "bad_utf8"),
    "nul in a topic": (packet(0x30, b"\x00\x02a\x00"), "bad_utf8"),
    "topic longer than its packet": (packet(0x30, b"\x00\x09abc"), "bad_body"),
    "qos 1 without packet id": (packet(0x32, field(UPDATE)), "bad_body"),
    "packet id 0": (publish_packet(UPDATE, b"", 1, 0), "bad_packet_id"),
    "second connect": (connect_packet(), "second_connect"),
    "subscribe with wrong flags": (packet(0x80, b"\x00\x01" + field("a") + b"\x00"), "bad_flags"),
    "subscribe without filters": (packet(0x82, b"\x00\x01"), "bad_body"),
    "subscribe at qos 3": (subscribe_packet(1, ("a", 3)), "bad_qos"),
    "empty filter": (subscribe_packet(1, ("", 0)), "bad_topic"),
    "filter that is not utf-8": (packet(0x82, b"\x00\x01\x00\x01\xff\x00"), "bad_utf8"),
    "pubrec": (b"\x50\x02\x00\x01", "qos2"),
    "pubrel": (b"\x62\x02\x00\x01", "qos2"),
    "connack from a client": (b"\x20\x02\x00\x00", "server_packet"),
    "suback from a client": (b"\x90\x03\x00\x01\x00", "server_packet"),
    "type 0": (b"\x00\x00", "bad_type"),
    "type 15": (b"\xf0\x00", "bad_type"),
    "pingreq with a body": (b"\xc0\x01\x00", "bad_body"),
    "five length bytes": (b"\x30\xff\xff\xff\xff\x01", "bad_length"),
    "over a megabyte": (b"\x30\x81\x80\x40", "too_large"),
    "large packet that is no publish": (b"\x82\x80\x80\x08", "too_large"),
}

GREETING = {
    "publish first": (publish_packet(UPDATE), "not_connected"),
    "ping first": (b"\xc0\x00", "not_connected"),
    "http": (b"GET / HTTP/1.1\r\n\r\n", "bad_flags"),
    "noise": (b"\xff\xfe\xfd", "bad_type"),
    "unknown protocol": (connect_packet(protocol="HTTP"), "bad_protocol"),
    "reserved flag": (connect_packet(flags=0xC3), "bad_flags"),
    "password without user name": (connect_packet(flags=0x42), "bad_flags"),
    "will qos without will": (connect_packet(flags=0xCA), "bad_flags"),
    "will qos 3": (connect_packet(flags=0xDE), "bad_flags"),
    "bytes after the password": (packet(0x10, connect_packet()[2:] + b"x"), "bad_body"),
    "client id that is not utf-8": (
        packet(0x10, field("MQTT") + b"\x04\x02\x00\x3c" + b"\x00\x01\xff"),
        "bad_utf8",
    ),
    "connect of 20 kB": (connect_packet(client_id="x" * 20_000), "too_large"),
}


@pytest.mark.parametrize("case", LIVE)
def test_bad_packet_ends_its_connection_only(gateway: Gateway, case: str) -> None:
    data, reason = LIVE[case]
    other, _ = gateway.device("other")
    device, handle = gateway.device()
    device.send(data)
    assert device.closed()
    (closed,) = gateway.take(gateway.seen.closed)
    assert (closed.handle, closed.reason) == (handle, "protocol")
    assert gateway.counter(f"protocol:{reason}") == 1
    assert gateway.counter("closed:protocol") == 1
    assert other.quiet()


@pytest.mark.parametrize("case", GREETING)
def test_bad_greeting_is_closed_without_asking_python(gateway: Gateway, case: str) -> None:
    data, reason = GREETING[case]
    device = Device(gateway.port).send(data)
    assert device.closed()
    assert gateway.counter(f"protocol:{reason}") == 1
    assert gateway.core.connections() == 0
    assert not gateway.seen.connects


@pytest.mark.parametrize("size", [256 * 1024 + 1, 900_000])
def test_message_over_256_kb_is_discarded_and_acknowledged_in_its_turn(gateway: Gateway, size: int) -> None:
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b"a", 1, 1) + publish_packet(UPDATE, b"x" * size, 1, 2))
    device.send(publish_packet(UPDATE, b"b", 1, 3))
    assert [message.payload for message in gateway.messages(2)] == [b"a", b"b"]
    assert device.pubacks(3) == [1, 2, 3]
    assert gateway.counter("refused_publish:too_large") == 1


def test_message_over_256_kb_at_qos_0_is_discarded(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b"x" * 300_000) + b"\xc0\x00")
    device.expect("pingresp")
    assert gateway.counter("refused_publish:too_large") == 1


def test_message_of_256_kb_passes(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b"x" * (256 * 1024), 1, 1))
    assert len(gateway.messages(1)[0].payload) == 256 * 1024
    assert device.pubacks(1) == [1]


def test_oversize_message_with_a_wildcard_topic_is_malformed_all_the_same(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(publish_packet("/pk/+", b"x" * 300_000)[:20])
    assert device.closed()
    assert gateway.counter("protocol:bad_topic") == 1


def test_no_connect_in_time_is_closed(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(connect_timeout_ms=100)
    silent = Device(gateway.port)
    partial = Device(gateway.port).send(connect_packet()[:10])
    assert silent.closed()
    assert partial.closed()
    assert gateway.counter("closed:connect_timeout", 2) == 2


@pytest.mark.parametrize(
    "data", [publish_packet(UPDATE, b"x" * 100)[:50], publish_packet(UPDATE, b"x" * 300_000)[:9000]]
)
def test_half_a_packet_is_closed(make_gateway: MakeGateway, data: bytes) -> None:
    gateway = make_gateway(packet_timeout_ms=100)
    device, _ = gateway.device()
    device.send(data)
    assert device.closed()
    assert gateway.take(gateway.seen.closed)[0].reason == "packet_timeout"


def test_partial_packets_of_all_connections_are_bounded(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_partial_bytes=100_000)
    names = [f"d{n}" for n in range(5)]
    devices = [gateway.device(name)[0] for name in names]
    for name, device in zip(names, devices, strict=True):
        try:
            device.send(publish_packet(f"/pk/{name}/user/update", b"x" * 200_000)[:60_000])
        except ConnectionError:
            continue
    closed = gateway.take(gateway.seen.closed, 4)
    assert {session.reason for session in closed} == {"memory"}
    gateway.poll(0.1)
    assert not gateway.seen.closed


def test_packets_cut_anywhere_are_whole_packets(gateway: Gateway) -> None:
    device, _ = gateway.device()
    data = publish_packet(UPDATE, b"one", 1, 1) + b"\xc0\x00" + publish_packet(UPDATE, b"two", 1, 2)
    for index in range(len(data)):
        device.send(data[index : index + 1])
    assert [message.payload for message in gateway.messages(2)] == [b"one", b"two"]
    kinds = sorted(device.receive()[0] for _ in range(3))
    assert kinds == ["pingresp", "puback", "puback"]


def test_reset_connection_is_closed(gateway: Gateway) -> None:
    device, handle = gateway.device()
    device.socket.setsockopt(1, 13, struct.pack("ii", 1, 0))
    device.close()
    (closed,) = gateway.take(gateway.seen.closed)
    assert closed.handle == handle
    assert closed.reason in ("eof", "error")
