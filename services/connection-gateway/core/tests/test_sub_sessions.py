"""A connection that carries its sub-devices' sessions beside its own."""

import pytest

from tests.support.gateway_core import (
    CLASSES,
    LIMITS,
    Device,
    Gateway,
    MakeGateway,
    parse,
    puback_packet,
    publish_packet,
    subscribe_packet,
    unsubscribe_packet,
)
from thinghub.device_protocol import slots
from thinghub_gateway_core import TopicClass

UPDATE = "/pk/dev/user/update"
SUB_UPDATE = "/pk/sub/user/update"
SUB_GET = "/pk/sub/user/get"
SUB_RRPC = "/sys/pk/sub/rrpc/request/1"


def with_sub(gateway: Gateway, name: str = "sub") -> tuple[Device, int, int]:
    device, own = gateway.device()
    (sub,) = gateway.attach(own, name)
    assert sub not in (0, own)
    return device, own, sub


def ended(gateway: Gateway, count: int = 1) -> list[tuple[int, str]]:
    return [(closed.handle, closed.reason) for closed in gateway.take(gateway.seen.closed, count)]


def test_sub_device_publishes_as_itself(gateway: Gateway) -> None:
    device, own, sub = with_sub(gateway)
    device.send(b"".join(publish_packet(topic, b"", 1, n + 1) for n, topic in enumerate([SUB_UPDATE, UPDATE] * 2)))
    seen: list[tuple[str, int, int, int]] = []
    partitions = {}
    while len(seen) < 4:
        (record,) = gateway.records()
        for message in parse(record).messages:
            seen.append((message.device_name, message.sequence, message.handle, message.epoch))
            partitions[message.device_name] = record.partition
        gateway.core.commit([record.record_id])
    assert sorted(seen) == [("dev", 1, own, 1), ("dev", 2, own, 1), ("sub", 1, sub, 2), ("sub", 2, sub, 2)]
    assert partitions == {name: slots.device_partition("pk", name, 4) for name in ("dev", "sub")}
    assert device.pubacks(4) == [1, 2, 3, 4]


def test_pubacks_of_all_sessions_leave_in_one_order(gateway: Gateway) -> None:
    device, _own, _sub = with_sub(gateway)
    device.send(publish_packet(SUB_UPDATE, b"", 1, 1))
    (first,) = gateway.records()
    device.send(publish_packet("/sys/pk/dev/lifecycle", b"", 1, 2) + publish_packet("/pk/none/user/update", b"", 1, 3))
    (second,) = gateway.records()
    gateway.core.commit([second.record_id])
    assert device.quiet()
    gateway.core.commit([first.record_id])
    assert device.pubacks(3) == [1, 2, 3]


def test_first_pair_of_levels_that_names_a_session_decides(gateway: Gateway) -> None:
    gateway.core.set_product_policy("pk", 2, [TopicClass("#", True, True)], LIMITS)
    device, own, sub = with_sub(gateway)
    topics = {"/pk/dev/user/pk/sub": own, "/pk/sub/user/pk/dev": sub, "/ext/ntp/pk/sub/request": sub}
    for topic in topics:
        device.send(publish_packet(topic))
    assert gateway.local()[0][:3] == (sub, "pk", "sub")
    assert {message.topic: message.handle for message in gateway.messages(2)} | {
        "/ext/ntp/pk/sub/request": sub
    } == topics


def test_answers_to_rrpc_come_with_the_sub_devices_handle(gateway: Gateway) -> None:
    device, own = gateway.device(ext=1)
    flagged, plain = gateway.attach(own, "flagged", ext=1) + gateway.attach(own, "plain")
    for topic in ("/sys/pk/plain/rrpc/response/5", "/ext/rrpc/5/pk/flagged/user/x", "/ext/rrpc/5/pk/plain/user/x"):
        device.send(publish_packet(topic, b"", 1, 1))
        assert device.pubacks(1) == [1]
    assert [message[:3] for message in gateway.local(2)] == [(plain, "pk", "plain"), (flagged, "pk", "flagged")]
    assert gateway.counter("refused_publish:permission") == 1


def test_each_filter_is_granted_to_the_session_it_names(gateway: Gateway) -> None:
    gateway.core.set_product_policy("pk", 2, CLASSES, LIMITS._replace(subscriptions=1))
    device, own, sub = with_sub(gateway)
    filters = [SUB_GET, "/pk/dev/user/get", "/sys/pk/sub/#", "/pk/other/user/get", "/sys/pk/+/#"]
    device.send(subscribe_packet(1, *((text, 1) for text in filters)))
    assert device.expect("suback")["codes"] == [1, 1, 0x80, 0x80, 0x80]
    gateway.deliver(sub, SUB_GET)
    gateway.deliver(own, SUB_GET)
    assert [gateway.outcome(), gateway.outcome()] == ["sent", "no_subscriber"]
    assert device.expect("publish")["topic"] == SUB_GET
    device.send(unsubscribe_packet(2, SUB_GET))
    device.expect("unsuback")
    gateway.deliver(sub, SUB_GET)
    gateway.deliver(own, "/pk/dev/user/get")
    assert [gateway.outcome(), gateway.outcome()] == ["no_subscriber", "sent"]


def test_automatic_topics_reach_a_sub_device(gateway: Gateway) -> None:
    device, _own, sub = with_sub(gateway)
    gateway.deliver(sub, SUB_RRPC)
    assert gateway.outcome() == "sent"
    assert device.expect("publish")["topic"] == SUB_RRPC
    device.send(unsubscribe_packet(1, "/sys/pk/sub/rrpc/request/+"))
    device.expect("unsuback")
    gateway.deliver(sub, SUB_RRPC)
    gateway.deliver(gateway.attach(_own, "sub2")[0], "/sys/pk/sub2/rrpc/request/1")
    assert [gateway.outcome(), gateway.outcome()] == ["no_subscriber", "sent"]


def test_closing_a_sub_session_leaves_the_connection_and_its_other_sessions(gateway: Gateway) -> None:
    device, own, sub = with_sub(gateway)
    (other,) = gateway.attach(own, "other")
    device.send(publish_packet(SUB_UPDATE, b"", 1, 1))
    (record,) = gateway.records()
    gateway.core.close([(sub, "logout"), (sub, "again")])
    assert ended(gateway) == [(sub, "logout")]
    assert (gateway.seen.flushed, gateway.core.counters()["sub_sessions"]) == ([], 1)
    gateway.core.commit([record.record_id])
    assert device.pubacks(1) == [1]
    assert gateway.take(gateway.seen.flushed) == [sub]
    device.send(publish_packet("/pk/other/user/update", b"", 1, 2) + publish_packet(UPDATE, b"", 1, 3))
    assert {message.handle for message in gateway.messages(2)} == {own, other}
    assert device.pubacks(2) == [2, 3]
    gateway.deliver(sub, SUB_RRPC)
    assert gateway.outcome() == "offline"
    assert gateway.counter("sub_closed:logout") == 1


def test_closing_a_sub_session_seals_its_messages(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(record_linger_ms=3_600_000)
    device, _own, sub = with_sub(gateway)
    device.send(publish_packet(SUB_UPDATE, b"", 0) + b"\xc0\x00")
    device.expect("pingresp")
    gateway.core.close([(sub, "logout")])
    gateway.messages(1)
    assert gateway.take(gateway.seen.flushed) == [sub]


@pytest.mark.parametrize("how", ["close", "eof", "disconnect"])
def test_end_of_the_connection_ends_every_session_its_own_last(make_gateway: MakeGateway, how: str) -> None:
    gateway = make_gateway(record_linger_ms=3_600_000 if how == "close" else 5)
    device, own = gateway.device()
    subs = gateway.attach(own, "a", "b", "c")
    device.send(b"".join(publish_packet(f"/pk/{name}/user/update") for name in ("a", "b", "dev")) + b"\xc0\x00")
    device.expect("pingresp")
    reason = {"close": "kicked", "eof": "eof", "disconnect": "client"}[how]
    if how == "close":
        gateway.core.close([(own, "kicked")])
        assert device.closed()
    elif how == "disconnect":
        device.send(b"\xe0\x00")
    else:
        device.close()
    closed = ended(gateway, 4)
    assert sorted(closed) == sorted((handle, reason) for handle in (*subs, own))
    assert closed[-1] == (own, reason)
    gateway.messages(3)
    assert sorted(gateway.take(gateway.seen.flushed, 4)) == sorted([*subs, own])
    assert (gateway.core.sessions(), gateway.counter(f"sub_closed:{reason}", 3)) == (0, 3)
    assert gateway.attach(own, "late") == [0]


def test_failed_record_closes_the_connection_of_a_sub_session_that_ended(gateway: Gateway) -> None:
    device, own, sub = with_sub(gateway)
    device.send(publish_packet(SUB_UPDATE, b"", 1, 1))
    (record,) = gateway.records()
    gateway.core.close([(sub, "logout")])
    assert ended(gateway) == [(sub, "logout")]
    gateway.core.fail([record.record_id])
    assert device.closed()
    assert ended(gateway) == [(own, "record_failed")]
    assert sorted(gateway.take(gateway.seen.flushed, 2)) == sorted([own, sub])


def test_attach_answers_0_where_no_session_may_begin(gateway: Gateway) -> None:
    device, own, sub = with_sub(gateway)
    assert gateway.attach(own, "dev") == [0]
    assert gateway.attach(own, "x", product_key="unknown") == [0]
    assert gateway.attach(sub, "below") == [0]
    assert gateway.attach(0, "x") + gateway.attach(2**62, "x") == [0, 0]
    gateway.core.drop_product_policy("pk")
    assert gateway.attach(own, "x") == [0]
    gateway.core.set_product_policy("pk", 2, CLASSES, LIMITS)
    device.close()
    ended(gateway, 2)
    assert gateway.attach(own, "x") == [0]


def test_2000_sub_devices_and_no_more(gateway: Gateway) -> None:
    device, own = gateway.device()
    names = [f"s{n}" for n in range(2_001)]
    handles = gateway.attach(own, *names)
    assert (all(handles[:2_000]), handles[2_000]) == (True, 0)
    assert gateway.counter("sub_sessions", 2_000) == 2_000
    (again,) = gateway.attach(own, "s7")
    assert again > 0
    assert ended(gateway) == [(handles[7], "replaced")]
    gateway.core.close([(handles[0], "logout")])
    ended(gateway)
    assert gateway.attach(own, "s2000")[0] > 0
    other, its = gateway.device("second")
    assert gateway.attach(its, "s2001")[0] > 0
    device.send(publish_packet("/pk/s1999/user/update", b"", 1, 1))
    assert gateway.messages(1)[0].handle == handles[1_999]
    device.close()
    assert len(ended(gateway, 2_001)) == 2_001
    assert other.quiet()


def test_device_attached_twice_is_replaced_by_the_newer(gateway: Gateway) -> None:
    device, own, older = with_sub(gateway)
    gateway.deliver(older, SUB_RRPC, b"", 1)
    sent = device.expect("publish")
    (newer,) = gateway.attach(own, "sub")
    assert ended(gateway) == [(older, "replaced")]
    assert gateway.outcome() == "offline"
    device.send(puback_packet(sent["packet_id"]) + publish_packet(SUB_UPDATE, b"", 1, 1))
    (message,) = gateway.messages(1)
    assert (message.handle, message.sequence) == (newer, 1)
    gateway.core.close([(newer, "logout")])
    assert ended(gateway) == [(newer, "logout")]


def test_window_is_the_connections_and_packet_ids_are_unique(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_inflight_down=2)
    device, own, sub = with_sub(gateway)
    gateway.deliver(sub, SUB_RRPC, b"1", 1)
    gateway.deliver(own, "/sys/pk/dev/rrpc/request/1", b"2", 1)
    gateway.deliver(own, "/sys/pk/dev/rrpc/request/1", b"3", 1)
    first, second = device.expect("publish"), device.expect("publish")
    assert (first["payload"], second["payload"]) == (b"1", b"2")
    assert first["packet_id"] != second["packet_id"]
    assert device.quiet()
    gateway.core.close([(sub, "logout")])
    assert gateway.outcome() == "offline"
    third = device.expect("publish")
    assert third["payload"] == b"3"
    assert third["packet_id"] not in (first["packet_id"], second["packet_id"])
    device.send(puback_packet(second["packet_id"]) + puback_packet(third["packet_id"]))
    assert [gateway.outcome(), gateway.outcome()] == ["delivered", "delivered"]


def test_flood_to_one_sub_device_leaves_room_for_the_others(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_inflight_down=1)
    device, own, sub = with_sub(gateway)
    for _ in range(150):
        gateway.deliver(sub, SUB_RRPC, b"", 1)
    assert {delivered.outcome for delivered in gateway.take(gateway.seen.delivered, 49)} == {"failed"}
    for _ in range(10):
        gateway.deliver(own, "/sys/pk/dev/rrpc/request/1", b"", 1)
    gateway.deliver(own, "/sys/pk/dev/rrpc/request/1", b"", 1)
    assert gateway.outcome() == "failed"
    device.close()
    outcomes = gateway.take(gateway.seen.delivered, 111)
    assert {delivered.outcome for delivered in outcomes} == {"offline"}


def test_quota_is_each_sessions_own(gateway: Gateway) -> None:
    gateway.core.set_product_policy("pk", 2, CLASSES, LIMITS._replace(up_qos1_per_second=1, drop_qos1=True))
    device, own, sub = with_sub(gateway)
    device.send(b"".join(publish_packet(SUB_UPDATE, b"", 1, n) for n in range(1, 201)))
    device.send(publish_packet(UPDATE, b"", 1, 201))
    handles = {message.handle for message in gateway.messages(2)}
    assert handles == {own, sub}
    assert device.pubacks(201) == list(range(1, 202))


def test_delayed_sub_session_pauses_the_connection(gateway: Gateway) -> None:
    gateway.core.set_product_policy("slow", 1, CLASSES, LIMITS._replace(bytes_per_second=1))
    device, own = gateway.device()
    gateway.attach(own, "sub", product_key="slow")
    device.send(publish_packet("/slow/sub/user/update", b"x" * 9_000, 1, 1))
    device.send(publish_packet("/slow/sub/user/update", b"", 1, 2) + publish_packet(UPDATE, b"", 1, 3))
    gateway.messages(1)
    assert gateway.counter("quota_delayed") >= 1
    assert device.pubacks(1) == [1]
    gateway.core.set_product_policy("slow", 2, CLASSES, LIMITS)
    gateway.messages(2)
    assert device.pubacks(2) == [2, 3]


def test_end_of_a_delayed_sub_session_ends_the_pause(gateway: Gateway) -> None:
    gateway.core.set_product_policy("slow", 1, CLASSES, LIMITS._replace(bytes_per_second=1))
    device, own = gateway.device()
    (sub,) = gateway.attach(own, "sub", product_key="slow")
    device.send(publish_packet("/slow/sub/user/update", b"x" * 9_000, 1, 1))
    device.send(publish_packet("/slow/sub/user/update", b"", 1, 2) + publish_packet(UPDATE, b"", 1, 3))
    gateway.counter("quota_delayed")
    gateway.core.close([(sub, "logout")])
    assert {message.handle for message in gateway.messages(2)} == {own, sub}
    assert device.pubacks(3) == [1, 2, 3]
    assert gateway.local()[0].category == "foreign"


def test_sub_sessions_over_all_connections_are_bounded(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_sub_sessions=3)
    (first, one), (_second, two) = gateway.device("one"), gateway.device("two")
    assert [bool(handle) for handle in gateway.attach(one, "a", "b") + gateway.attach(two, "c", "d")] == [1, 1, 1, 0]
    first.close()
    ended(gateway, 3)
    assert [bool(handle) for handle in gateway.attach(two, "d", "e", "f")] == [1, 1, 0]


def test_new_policy_reaches_sub_sessions(gateway: Gateway) -> None:
    gateway.core.set_product_policy("sp", 1, CLASSES, LIMITS)
    device, own = gateway.device()
    gateway.attach(own, "sub", product_key="sp")
    gateway.core.set_product_policy("sp", 2, [TopicClass("new", True, False)], LIMITS)
    device.send(publish_packet("/sp/sub/user/new", b"now") + publish_packet("/pk/dev/user/new"))
    assert gateway.messages(1)[0].product_key == "sp"
    assert gateway.counter("refused_publish:permission") == 1


def test_full_partition_of_a_sub_device_stops_the_connection(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(partition_max_inflight_bytes=10_000)
    there = slots.device_partition("pk", "dev", 4)
    name = next(name for name in map("s{}".format, range(99)) if slots.device_partition("pk", name, 4) != there)
    device, _own, _sub = with_sub(gateway, name)
    topic = f"/pk/{name}/user/update"
    device.send(publish_packet(topic, b"x" * 10_000, 1, 1) + publish_packet(topic, b"", 1, 2))
    device.send(publish_packet(UPDATE, b"", 1, 3))
    (record,) = gateway.records()
    gateway.counter("backpressure_pauses")
    assert not gateway.seen.records
    gateway.core.commit([record.record_id])
    gateway.messages(2)
    assert device.pubacks(3) == [1, 2, 3]


def test_publish_without_a_session_is_reported_as_foreign(gateway: Gateway) -> None:
    device, own, sub = with_sub(gateway)
    gateway.core.close([(sub, "logout")])
    ended(gateway)
    device.send(publish_packet(SUB_UPDATE, b"secret", 1, 1))
    assert device.pubacks(1) == [1]
    (report,) = gateway.local()
    assert report[:7] == (own, "pk", "sub", 1, "foreign", SUB_UPDATE, b"")
    assert gateway.counter("refused_publish:permission") == 1
    device.send(publish_packet("/pk/dev/user/unknown", b"", 1, 2) + publish_packet("nonsense", b"", 1, 3))
    assert device.pubacks(2) == [2, 3]
    (sub,) = gateway.attach(own, "sub")
    device.send(publish_packet("/pk/sub/user/unknown", b"", 1, 4) + publish_packet(SUB_UPDATE, b"", 1, 5))
    assert gateway.messages(1)[0].handle == sub
    assert device.pubacks(2) == [4, 5]
    assert not gateway.seen.local
    assert gateway.counter("foreign_publishes") == 1


def test_flood_of_foreign_publishes_is_bounded_and_leaves_room(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_local_queue=10)
    device, _ = gateway.device()
    device.send(b"".join(publish_packet(f"/pk/d{n}/user/update", b"", 1, n) for n in range(1, 101)))
    assert device.pubacks(100) == list(range(1, 101))
    device.send(publish_packet("/ext/ntp/pk/dev/request", b"", 1, 101))
    assert device.pubacks(1) == [101]
    assert [message.category for message in gateway.local(6)] == ["foreign"] * 5 + ["ntp"]
    assert gateway.counter("refused_publish:permission", 100) == 100
    assert gateway.core.counters()["refused_publish:local_queue"] == 0


def test_quota_comes_before_the_report_of_foreign_publishes(gateway: Gateway) -> None:
    gateway.core.set_product_policy("pk", 2, CLASSES, LIMITS._replace(up_qos0_per_second=2))
    device, _ = gateway.device()
    device.send(b"".join(publish_packet("/pk/other/user/update") for _ in range(300)) + b"\xc0\x00")
    device.expect("pingresp")
    assert gateway.counter("refused_publish:quota", 280) >= 280
    assert gateway.core.counters()["foreign_publishes"] <= 20
