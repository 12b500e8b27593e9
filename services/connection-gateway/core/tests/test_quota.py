"""Quotas and product policies on live sessions."""

from tests.support.gateway_core import CLASSES, LIMITS, Gateway, publish_packet, subscribe_packet
from thinghub_gateway_core import TopicClass

UPDATE = "/pk/dev/user/update"


def limits(gateway: Gateway, version: int = 2, **changes: object) -> None:
    gateway.core.set_product_policy("pk", version, CLASSES, LIMITS._replace(**changes))  # type: ignore[arg-type]


def test_qos_0_over_quota_is_dropped(gateway: Gateway) -> None:
    limits(gateway, up_qos0_per_second=2)
    device, _ = gateway.device()
    device.send(b"".join(publish_packet(UPDATE, b"%d" % n) for n in range(500)) + b"\xc0\x00")
    device.expect("pingresp")
    gateway.messages(2)
    assert gateway.counter("refused_publish:quota", 400) >= 400


def test_qos_1_over_quota_is_delayed_and_nothing_is_lost(gateway: Gateway) -> None:
    limits(gateway, up_qos1_per_second=5)
    device, _ = gateway.device()
    other, _ = gateway.device("other")
    device.send(b"".join(publish_packet(UPDATE, b"%d" % n, 1, n + 1) for n in range(9)))
    assert gateway.counter("quota_delayed") >= 1
    assert other.quiet()
    assert [message.payload for message in gateway.messages(9)] == [b"%d" % n for n in range(9)]
    assert device.pubacks(9) == list(range(1, 10))
    assert gateway.core.counters()["refused_publish:quota"] == 0


def test_qos_1_over_quota_is_dropped_and_acknowledged_where_the_product_says_so(gateway: Gateway) -> None:
    limits(gateway, up_qos1_per_second=1, drop_qos1=True)
    device, _ = gateway.device()
    device.send(b"".join(publish_packet(UPDATE, b"", 1, n + 1) for n in range(300)))
    gateway.messages(1)
    assert device.pubacks(300) == list(range(1, 301))
    assert gateway.counter("refused_publish:quota", 290) >= 290


def test_bytes_over_quota_delay(gateway: Gateway) -> None:
    limits(gateway, bytes_per_second=20_000)
    device, _ = gateway.device()
    for n in range(4):
        device.send(publish_packet(UPDATE, b"x" * 9_000, 1, n + 1))
    gateway.messages(4)
    assert device.pubacks(4) == [1, 2, 3, 4]
    assert gateway.counter("quota_delayed") >= 1


def test_observed_quota_refuses_nothing(gateway: Gateway) -> None:
    limits(gateway, enforce=False, up_qos0_per_second=1, up_qos1_per_second=1, bytes_per_second=10, subscriptions=1)
    device, _ = gateway.device()
    device.send(b"".join(publish_packet(UPDATE, b"x" * 50, n % 2, n + 1) for n in range(100)))
    gateway.messages(100)
    assert device.pubacks(50)
    assert gateway.counter("quota_observed", 90) >= 90
    device.send(subscribe_packet(1, ("/pk/dev/user/get", 0), ("/pk/dev/user/tree/#", 0)))
    assert device.expect("suback")["codes"] == [0, 0]
    assert gateway.counter("subscribe_limit_observed") == 1


def test_new_policy_reaches_live_sessions(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(publish_packet("/pk/dev/user/new", b"", 1, 1))
    assert device.pubacks(1) == [1]
    gateway.core.set_product_policy("pk", 2, [*CLASSES, TopicClass("new", True, False)], LIMITS)
    device.send(publish_packet("/pk/dev/user/new", b"now", 1, 2))
    assert gateway.messages(1)[0].payload == b"now"
    assert gateway.counter("refused_publish:permission") == 1


def test_raised_quota_ends_a_pause(gateway: Gateway) -> None:
    limits(gateway, bytes_per_second=1)
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b"x" * 9_000, 1, 1) + publish_packet(UPDATE, b"", 1, 2))
    gateway.counter("quota_delayed")
    limits(gateway, 3)
    gateway.messages(2)
    assert device.pubacks(2) == [1, 2]


def test_older_policy_is_ignored(gateway: Gateway) -> None:
    gateway.core.set_product_policy("pk", 5, CLASSES, LIMITS)
    gateway.core.set_product_policy("pk", 4, [], LIMITS)
    assert gateway.core.has_product_policy("pk") == 5
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE))
    gateway.messages(1)


def test_dropped_policy_is_not_held(gateway: Gateway) -> None:
    assert gateway.core.has_product_policy("pk") == 1
    gateway.core.drop_product_policy("pk")
    assert gateway.core.has_product_policy("pk") == 0
    assert gateway.core.has_product_policy("never") == 0
