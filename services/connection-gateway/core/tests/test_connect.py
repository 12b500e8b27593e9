"""CONNECT: what is reported, how it is answered, what is refused before Python is asked."""

import pytest

from tests.support.gateway_core import Device, Gateway, MakeGateway, connect_packet, packet, publish_packet
from thinghub_gateway_core import Accept


def test_connect_is_reported_whole(gateway: Gateway) -> None:
    Device(gateway.port).send(
        connect_packet("pk.dev|timestamp=1,securemode=3|", "dev&pk", "AB" * 20, keep_alive=300, flags=0xC0)
    )
    (request,) = gateway.take(gateway.seen.connects)
    assert request.client_id == "pk.dev|timestamp=1,securemode=3|"
    assert (request.username, request.password) == ("dev&pk", "AB" * 20)
    assert (request.keep_alive_s, request.clean, request.tls) == (300, False, False)
    assert request.address.startswith("127.0.0.1:")


def test_mqtt_3_1_is_accepted(gateway: Gateway) -> None:
    device, _ = gateway.device(level=3, protocol="MQIsdp")
    assert device.quiet()


@pytest.mark.parametrize("keep_alive", [0, 29, 1201, 65535])
def test_keep_alive_outside_the_range_is_refused(gateway: Gateway, keep_alive: int) -> None:
    device = Device(gateway.port).send(connect_packet(keep_alive=keep_alive))
    assert device.expect("connack")["code"] == 2
    assert device.closed()
    assert gateway.counter("refused_connect:keep_alive_range") == 1
    assert not gateway.seen.connects


def test_keep_alive_at_the_ends_of_the_range_is_accepted(gateway: Gateway) -> None:
    gateway.device("a", keep_alive=30)
    gateway.device("b", keep_alive=1200)


def test_mqtt_5_is_told_that_its_version_is_not_served(gateway: Gateway) -> None:
    device = Device(gateway.port).send(connect_packet(level=5))
    assert device.expect("connack")["code"] == 1
    assert device.closed()


@pytest.mark.parametrize("code", [2, 3, 4, 5])
def test_rejection_carries_its_code(gateway: Gateway, code: int) -> None:
    # What was sent beyond CONNECT must not turn the answer into a reset.
    device = Device(gateway.port).send(connect_packet() + publish_packet("/pk/dev/user/update", b"x" * 5000))
    (request,) = gateway.take(gateway.seen.connects)
    gateway.core.reject([(request.conn, code, "credentials")])
    assert device.expect("connack")["code"] == code
    assert device.closed()
    assert gateway.counter("refused_connect:credentials") == 1


def test_unanswered_connect_gets_server_unavailable(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(accept_timeout_ms=50)
    device = Device(gateway.port).send(connect_packet())
    assert device.expect("connack")["code"] == 3
    assert device.closed()
    (request,) = gateway.take(gateway.seen.connects)
    assert gateway.take(gateway.seen.dropped) == [request.conn]
    assert gateway.core.accept([Accept(request.conn, "pk", "dev", 1, 0)]) == [0]


def test_connection_closed_before_accept_is_dropped(gateway: Gateway) -> None:
    device = Device(gateway.port).send(connect_packet())
    (request,) = gateway.take(gateway.seen.connects)
    device.close()
    assert gateway.take(gateway.seen.dropped) == [request.conn]
    assert gateway.core.accept([Accept(request.conn, "pk", "dev", 1, 0)]) == [0]
    assert gateway.core.sessions() == 0


def test_accept_without_policy_gives_no_handle_and_may_be_tried_again(gateway: Gateway) -> None:
    device = Device(gateway.port).send(connect_packet())
    (request,) = gateway.take(gateway.seen.connects)
    assert gateway.core.accept([Accept(request.conn, "unknown", "dev", 1, 0)]) == [0]
    assert gateway.core.accept([Accept(request.conn, "pk", "dev", 1, 0)]) != [0]
    assert device.expect("connack")["code"] == 0


def test_every_handle_ends_in_closed_and_flushed(gateway: Gateway) -> None:
    """Whether the connection is still there at accept or not, Python hears of the end of what it was given."""
    handles = set()
    for _ in range(50):
        device = Device(gateway.port).send(connect_packet())
        (request,) = gateway.take(gateway.seen.connects)
        device.close()
        handles.update(gateway.core.accept([Accept(request.conn, "pk", "dev", 1, 0)]))
    handles.discard(0)
    gateway.until(lambda: {closed.handle for closed in gateway.seen.closed} == handles)
    gateway.until(lambda: set(gateway.seen.flushed) == handles)
    assert len(gateway.seen.closed) == len(handles)


def test_packets_sent_before_connack_are_served_after_it(gateway: Gateway) -> None:
    early = connect_packet() + publish_packet("/pk/dev/user/update", b"early", 1, 5)
    device = Device(gateway.port).send(early)
    gateway.admit(device)
    assert gateway.messages(1)[0].payload == b"early"
    assert device.pubacks(1) == [5]


def test_will_and_retain_are_ignored(gateway: Gateway) -> None:
    body = bytes([0, 4]) + b"MQTT" + bytes([4, 0xEE, 0, 60])
    for text in (b"id", b"/pk/dev/user/update", b"gone", b"dev&pk", b"secret"):
        body += len(text).to_bytes(2, "big") + text
    device = Device(gateway.port).send(packet(0x10, body))
    gateway.admit(device)
    device.send(publish_packet("/pk/dev/user/update", b"kept", 0, flags=1))
    assert gateway.messages(1)[0].payload == b"kept"
    device.close()
    gateway.take(gateway.seen.flushed)
    assert not gateway.seen.records


def test_disconnect_ends_the_session(gateway: Gateway) -> None:
    device, handle = gateway.device()
    device.send(b"\xe0\x00")
    assert device.closed()
    (closed,) = gateway.take(gateway.seen.closed)
    assert (closed.handle, closed.reason) == (handle, "client")


def test_end_of_a_connection_that_just_sent_something_is_seen(gateway: Gateway) -> None:
    """The end often arrives together with the last bytes and is announced once for both."""
    device, _ = gateway.device()
    for _ in range(300):
        Device(gateway.port).send(connect_packet()[:9]).close()
    device.send(publish_packet("/pk/dev/user/update", b"last")).close()
    assert gateway.messages(1)[0].payload == b"last"
    gateway.counter("closed:eof", 301)
    assert gateway.core.connections() == 0


def test_silent_device_is_closed_after_one_and_a_half_keep_alives(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(keep_alive_min_s=1)
    silent, _ = gateway.device("silent", keep_alive=1)
    assert silent.closed()
    (closed,) = gateway.take(gateway.seen.closed)
    assert closed.reason == "keep_alive"


def test_pinging_device_stays(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(keep_alive_min_s=1)
    silent, _ = gateway.device("silent", keep_alive=1)
    device, _ = gateway.device("dev", keep_alive=1)
    silent.socket.setblocking(False)
    while not gateway.seen.closed:
        assert device.quiet()
        gateway.poll(0.2)
    assert gateway.seen.closed[0].device_name == "silent"
    assert device.quiet()
