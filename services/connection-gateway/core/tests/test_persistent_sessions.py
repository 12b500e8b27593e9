"""Sessions that outlive their connection: what they bring along, and changes that wait to be stored."""

import pytest

from tests.support.gateway_core import (
    CLASSES,
    LIMITS,
    Device,
    Gateway,
    MakeGateway,
    puback_packet,
    publish_packet,
    subscribe_packet,
    unsubscribe_packet,
)
from thinghub_gateway_core import Subscription

GET = "/pk/dev/user/get"
RRPC = "/sys/pk/dev/rrpc/request/1"
ANY_RRPC = "/sys/pk/dev/rrpc/request/+"


def change(gateway: Gateway) -> Subscription:
    (subscription,) = gateway.take(gateway.seen.subscriptions)
    assert isinstance(subscription, Subscription)
    return subscription


def subscribe_tree(device: Device, first: int, count: int) -> None:
    """That many SUBSCRIBEs, each for a filter of its own, with these packet ids."""
    numbers = range(first, first + count)
    device.send(b"".join(subscribe_packet(n, (f"/pk/dev/user/tree/{n}", 1)) for n in numbers))


@pytest.mark.parametrize("present", [False, True])
def test_connack_says_whether_a_session_was_present(gateway: Gateway, present: bool) -> None:
    gateway.keep(present=present)


def test_what_the_session_had_is_there_before_anything_is_delivered(gateway: Gateway) -> None:
    device, handle = gateway.keep(subscriptions=[GET], stopped=[ANY_RRPC])
    gateway.deliver(handle, GET, b"first", 1)
    assert device.expect("publish")["payload"] == b"first"
    gateway.deliver(handle, RRPC)
    assert gateway.outcome() == "no_subscriber"
    assert gateway.inspect(handle)[0].subscriptions == [GET]
    assert not gateway.seen.subscriptions


def test_suback_waits_until_the_change_is_stored_and_nothing_else_does(gateway: Gateway) -> None:
    device, handle = gateway.keep()
    device.send(subscribe_packet(1, (GET, 1), ("/pk/dev/user/update", 1)))
    assert device.send(publish_packet("/ext/ntp/pk/dev/request", b"", 1, 2)).pubacks(1) == [2]
    made = change(gateway)
    assert made[1:] == (handle, [GET], [], [], [])
    gateway.deliver(handle, GET, b"at once")
    assert device.expect("publish")["payload"] == b"at once"
    assert device.quiet()
    gateway.core.confirm_subscriptions([made.token])
    assert device.expect("suback") == {"packet_id": 1, "codes": [1, 0x80]}


def test_unsuback_waits_as_well(gateway: Gateway) -> None:
    device, handle = gateway.keep(subscriptions=[GET])
    device.send(unsubscribe_packet(1, GET, ANY_RRPC))
    made = change(gateway)
    assert made[1:] == (handle, [], [GET], [ANY_RRPC], [])
    assert device.quiet()
    gateway.core.confirm_subscriptions([made.token])
    device.expect("unsuback")
    device.send(subscribe_packet(2, (ANY_RRPC, 1)))
    made = change(gateway)
    assert made[2:] == ([ANY_RRPC], [], [], [ANY_RRPC])
    gateway.core.confirm_subscriptions([made.token])
    device.expect("suback")


def test_a_packet_that_changes_nothing_is_answered_at_once(gateway: Gateway) -> None:
    device, _ = gateway.keep(subscriptions=[GET])
    device.send(subscribe_packet(1, (GET, 1)) + unsubscribe_packet(2, "/pk/dev/user/tree/1"))
    assert device.expect("suback")["codes"] == [1]
    device.expect("unsuback")
    assert not gateway.seen.subscriptions


def test_answers_leave_in_the_order_of_their_packets(gateway: Gateway) -> None:
    device, _ = gateway.keep()
    device.send(subscribe_packet(1, (GET, 1)) + subscribe_packet(2, (GET, 1)) + unsubscribe_packet(3, GET))
    first, second = gateway.take(gateway.seen.subscriptions, 2)
    assert first.token < second.token
    assert (first.added, second.removed) == ([GET], [GET])
    gateway.core.confirm_subscriptions([second.token])
    assert device.quiet()
    gateway.core.confirm_subscriptions([first.token])
    assert [device.receive()[1]["packet_id"] for _ in range(3)] == [1, 2, 3]


def test_a_change_that_is_not_stored_closes_the_connection(gateway: Gateway) -> None:
    device, handle = gateway.keep()
    device.send(subscribe_packet(1, (GET, 1)))
    gateway.core.fail_subscriptions([change(gateway).token])
    assert device.closed()
    (closed,) = gateway.take(gateway.seen.closed)
    assert (closed.handle, closed.reason) == (handle, "store")


def test_a_change_that_nobody_answers_closes_the_connection(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(accept_timeout_ms=100)
    device, _ = gateway.keep()
    device.send(subscribe_packet(1, (GET, 1)))
    late = change(gateway)
    assert device.closed()
    (closed,) = gateway.take(gateway.seen.closed)
    assert closed.reason == "store"
    newer, _ = gateway.keep()
    gateway.core.confirm_subscriptions([late.token, 0, 2**60])
    gateway.core.fail_subscriptions([late.token])
    assert newer.quiet()


def test_a_connection_with_many_answers_waiting_is_not_read_at_another(gateway: Gateway) -> None:
    device, _ = gateway.keep()
    subscribe_tree(device, 1, 17)
    device.send(publish_packet("/ext/ntp/pk/dev/request", b"", 1, 99))
    tokens = [made.token for made in gateway.take(gateway.seen.subscriptions, 16)]
    gateway.poll(0.1)
    assert not gateway.seen.subscriptions
    assert not gateway.seen.local
    gateway.core.confirm_subscriptions(tokens[:1])
    assert device.expect("suback")["packet_id"] == 1
    assert device.pubacks(1) == [99]
    gateway.core.confirm_subscriptions([*tokens[1:], change(gateway).token])
    assert [device.expect("suback")["packet_id"] for _ in range(16)] == list(range(2, 18))


def test_restored_subscriptions_have_the_permissions_and_limits_of_now(gateway: Gateway) -> None:
    gateway.core.set_product_policy("pk", 2, CLASSES, LIMITS._replace(subscriptions=1))
    update, tree = "/pk/dev/user/update", "/pk/dev/user/tree/1"
    device, handle = gateway.keep(subscriptions=[update, GET, tree], stopped=["/pk/dev/user/get"])
    made = change(gateway)
    assert made[1:] == (handle, [], [update, tree], [], [GET])
    assert gateway.counter("refused_subscribe:permission") == gateway.counter("refused_subscribe:limit") == 1
    device.send(subscribe_packet(1, (GET, 1)))
    assert device.quiet()
    gateway.core.confirm_subscriptions([made.token])
    assert device.expect("suback")["codes"] == [1]


def test_sub_sessions_are_always_clean(gateway: Gateway) -> None:
    device, handle = gateway.keep()
    (sub,) = gateway.attach(handle, "sub")
    device.send(subscribe_packet(1, ("/pk/sub/user/get", 1)))
    assert device.expect("suback")["codes"] == [1]
    device.send(subscribe_packet(2, ("/pk/sub/user/tree/1", 1), (GET, 1)))
    made = change(gateway)
    assert made[1:3] == (handle, [GET])
    gateway.core.confirm_subscriptions([made.token])
    device.expect("suback")
    gateway.deliver(sub, "/pk/sub/user/get")
    device.expect("publish")


def test_a_clean_session_reports_no_changes(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(subscribe_packet(1, (GET, 1)) + unsubscribe_packet(2, GET, ANY_RRPC))
    device.expect("suback")
    device.expect("unsuback")
    assert not gateway.seen.subscriptions


def test_sent_again_on_a_new_connection_is_dup_and_packet_ids_begin_anew(gateway: Gateway) -> None:
    device, handle = gateway.keep(subscriptions=[GET])
    for payload in (b"1", b"2"):
        gateway.deliver(handle, GET, payload, 1)
    assert [device.expect("publish")["packet_id"] for _ in range(2)] == [1, 2]
    device.close()
    assert [gateway.outcome(), gateway.outcome()] == ["offline", "offline"]
    device, handle = gateway.keep(present=True, subscriptions=[GET])
    gateway.deliver(handle, GET, b"2", 1, dup=True)
    gateway.deliver(handle, GET, b"3", 1)
    got = [device.expect("publish") for _ in range(2)]
    assert [(one["packet_id"], one["dup"], one["payload"]) for one in got] == [(1, True, b"2"), (2, False, b"3")]
    device.send(puback_packet(2) + puback_packet(1))
    assert [gateway.outcome(), gateway.outcome()] == ["delivered", "delivered"]


def test_a_persistent_session_has_the_same_window(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_inflight_down=1)
    device, handle = gateway.keep(subscriptions=[GET])
    gateway.deliver(handle, GET, b"1", 1)
    gateway.deliver(handle, GET, b"2", 1, dup=True)
    first = device.expect("publish")
    assert device.quiet()
    device.send(puback_packet(first["packet_id"]))
    assert device.expect("publish")["dup"] is True


def test_dup_is_no_flag_of_qos_0(gateway: Gateway) -> None:
    device, handle = gateway.device()
    gateway.deliver(handle, RRPC, b"", 0, dup=True)
    assert device.expect("publish")["dup"] is False
