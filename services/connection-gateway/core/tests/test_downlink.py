"""Subscriptions, automatic topics, delivery at both qualities, slow readers."""

import socket
import struct

import pytest

from tests.support.gateway_core import (
    CLASSES,
    LIMITS,
    Gateway,
    MakeGateway,
    publish_packet,
    subscribe_packet,
    unsubscribe_packet,
)

GET = "/pk/dev/user/get"
RRPC = "/sys/pk/dev/rrpc/request/1"


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        (GET, 1),
        ("/pk/dev/user/update", 0x80),
        ("/pk/dev/user/+", 0x80),
        ("/pk/dev/user/#", 0x80),
        ("/pk/dev/#", 0x80),
        ("/pk/other/user/get", 0x80),
        ("/+/dev/user/get", 0x80),
        ("#", 0x80),
        ("/pk/dev/user/tree/#", 1),
        ("/pk/dev/user/tree/a/+", 1),
        ("/pk/dev/user/tree/a/b/c/d", 0x80),
        ("/pk/dev/user/tree/" + "x" * 128, 0x80),
        ("/sys/pk/dev/rrpc/request/+", 1),
        ("/sys/pk/dev/thing/service/+", 1),
        ("/sys/pk/dev/#", 1),
        ("/sys/pk/other/#", 0x80),
        ("/sys/pk/dev/a#", 0x80),
        ("/sys/pk/dev/#/a", 0x80),
        ("/ext/rrpc/+/a", 0x80),
    ],
)
def test_subscription_is_granted_where_a_rule_covers_it(gateway: Gateway, topic: str, code: int) -> None:
    device, _ = gateway.device()
    device.send(subscribe_packet(7, (topic, 1)))
    assert device.expect("suback") == {"packet_id": 7, "codes": [code]}


def test_qos_2_is_granted_as_1_and_0_stays_0(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(subscribe_packet(1, (GET, 2), (GET, 0)))
    assert device.expect("suback")["codes"] == [1, 0]


def test_ninth_filter_of_a_subscribe_is_not_granted(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(subscribe_packet(1, *((f"/pk/dev/user/tree/{n}", 0) for n in range(10))))
    assert device.expect("suback")["codes"] == [0] * 8 + [0x80] * 2
    assert gateway.counter("refused_subscribe:filters") == 2


def test_subscriptions_are_limited_and_repeats_do_not_count(gateway: Gateway) -> None:
    gateway.core.set_product_policy("pk", 2, CLASSES, LIMITS._replace(subscriptions=2))
    device, _ = gateway.device()
    device.send(subscribe_packet(1, (GET, 0), (GET, 0), ("/pk/dev/user/tree/1", 0), ("/pk/dev/user/tree/2", 0)))
    assert device.expect("suback")["codes"] == [0, 0, 0, 0x80]
    device.send(unsubscribe_packet(2, GET) + subscribe_packet(3, ("/pk/dev/user/tree/2", 0)))
    device.expect("unsuback")
    assert device.expect("suback")["codes"] == [0]
    assert gateway.counter("refused_subscribe:limit") == 1


def test_qos_0_is_sent(gateway: Gateway) -> None:
    device, handle = gateway.device()
    device.send(subscribe_packet(1, (GET, 1)))
    device.expect("suback")
    gateway.deliver(handle, GET, b"down")
    assert gateway.outcome() == "sent"
    assert device.expect("publish") == {
        "dup": False,
        "qos": 0,
        "retain": False,
        "topic": GET,
        "packet_id": 0,
        "payload": b"down",
    }


def test_qos_1_is_delivered_at_puback_and_has_the_publishers_qos(gateway: Gateway) -> None:
    device, handle = gateway.device()
    device.send(subscribe_packet(1, (GET, 0)))
    device.expect("suback")
    gateway.deliver(handle, GET, b"down", 1)
    got = device.expect("publish")
    assert got["qos"] == 1
    device.send(struct.pack(">BBH", 0x40, 2, got["packet_id"]))
    assert gateway.outcome() == "delivered"


def test_without_subscription_nothing_is_sent(gateway: Gateway) -> None:
    device, handle = gateway.device()
    gateway.deliver(handle, GET)
    assert gateway.outcome() == "no_subscriber"
    assert device.quiet()


def test_reply_is_delivered_whatever_was_subscribed(gateway: Gateway) -> None:
    device, handle = gateway.device()
    gateway.deliver(handle, "/ext/ntp/pk/dev/response", subscribed=False)
    assert gateway.outcome() == "sent"
    device.expect("publish")


def test_automatic_topic_is_delivered_once_until_unsubscribed(gateway: Gateway) -> None:
    device, handle = gateway.device()
    gateway.deliver(handle, RRPC)
    assert gateway.outcome() == "sent"
    device.expect("publish")
    device.send(subscribe_packet(1, ("/sys/pk/dev/rrpc/request/+", 0), ("/sys/pk/dev/#", 0)))
    device.expect("suback")
    gateway.deliver(handle, RRPC)
    assert gateway.outcome() == "sent"
    device.expect("publish")
    assert device.quiet()
    device.send(unsubscribe_packet(2, "/sys/pk/dev/rrpc/request/+", "/sys/pk/dev/#"))
    device.expect("unsuback")
    gateway.deliver(handle, RRPC)
    assert gateway.outcome() == "no_subscriber"
    device.send(subscribe_packet(3, ("/sys/pk/dev/rrpc/request/+", 0)))
    device.expect("suback")
    gateway.deliver(handle, RRPC)
    assert gateway.outcome() == "sent"


def test_custom_rrpc_is_automatic_only_with_its_flag(gateway: Gateway) -> None:
    (_first, plain), (_second, with_flag) = gateway.device("plain"), gateway.device("flag", ext=1)
    gateway.deliver(plain, "/ext/rrpc/1/any")
    assert gateway.outcome() == "no_subscriber"
    gateway.deliver(with_flag, "/ext/rrpc/1/any")
    assert gateway.outcome() == "sent"


def test_unknown_and_closed_handles_are_offline(gateway: Gateway) -> None:
    device, handle = gateway.device()
    device.close()
    gateway.take(gateway.seen.closed)
    for number in (handle, 0, 2**62):
        gateway.deliver(number, GET, subscribed=False)
        assert gateway.outcome() == "offline"


def test_unacknowledged_delivery_times_out(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(delivery_timeout_ms=50)
    device, handle = gateway.device()
    gateway.deliver(handle, RRPC, b"", 1)
    assert gateway.outcome() == "timeout"
    got = device.expect("publish")
    device.send(struct.pack(">BBH", 0x40, 2, got["packet_id"]))
    assert gateway.counter("unknown_pubacks") == 1


def test_window_bounds_what_is_in_flight_and_the_queue_what_waits(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_inflight_down=2)
    device, handle = gateway.device()
    for _ in range(103):
        gateway.deliver(handle, RRPC, b"", 1)
    assert gateway.outcome() == "failed"
    first, second = device.expect("publish"), device.expect("publish")
    assert first["packet_id"] != second["packet_id"]
    assert device.quiet()
    device.send(struct.pack(">BBH", 0x40, 2, second["packet_id"]))
    assert gateway.outcome() == "delivered"
    assert device.expect("publish")["packet_id"] not in (first["packet_id"], second["packet_id"])
    device.close()
    gateway.until(lambda: len(gateway.seen.delivered) >= 101)
    assert {delivered.outcome for delivered in gateway.seen.delivered} == {"offline"}


def test_downlink_rate_over_quota_fails(gateway: Gateway) -> None:
    gateway.core.set_product_policy("pk", 2, CLASSES, LIMITS._replace(down_per_second=1))
    _device, handle = gateway.device()
    gateway.deliver(handle, RRPC)
    gateway.deliver(handle, RRPC)
    assert [gateway.outcome(), gateway.outcome()] == ["sent", "failed"]


def test_slow_reader_is_closed_and_others_are_served(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_out_buffer_bytes=100_000)
    slow, handle = gateway.device("slow")
    device, other = gateway.device()
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(2_000):
        gateway.deliver(handle, "/ext/x", b"x" * 50_000, subscribed=False)
        if gateway.outcome() == "offline":
            break
    (closed,) = gateway.take(gateway.seen.closed)
    assert (closed.handle, closed.reason) == (handle, "slow_reader")
    gateway.deliver(other, RRPC)
    device.expect("publish")


def test_large_downlink_to_a_reader_that_reads_arrives_whole(gateway: Gateway) -> None:
    device, handle = gateway.device()
    payload = bytes(range(256)) * 1000
    for _ in range(8):
        gateway.deliver(handle, RRPC, payload)
        assert device.expect("publish")["payload"] == payload


def test_uplink_and_downlink_share_a_connection(gateway: Gateway) -> None:
    device, handle = gateway.device()
    gateway.deliver(handle, RRPC, b"", 1)
    got = device.expect("publish")
    device.send(publish_packet("/pk/dev/user/update", b"", 1, got["packet_id"]))
    gateway.messages(1)
    assert device.pubacks(1) == [got["packet_id"]]
    assert not gateway.seen.delivered
