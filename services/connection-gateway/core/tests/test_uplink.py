"""Uplink: publish, record, commit, PUBACK."""

import pytest

from tests.support.gateway_core import CUSTOM, LIFECYCLE, WAIT, Device, Gateway, MakeGateway, parse, publish_packet
from thinghub.device_protocol import message_ids, slots
from thinghub_gateway_core import Sample
from thinghubpb.bus.v1 import record_pb2

UPDATE = "/pk/dev/user/update"


def test_publish_is_acknowledged_once_its_record_is_committed(gateway: Gateway) -> None:
    device, handle = gateway.device()
    device.send(publish_packet(UPDATE, b"hello", 1, 77))
    (record,) = gateway.records()
    assert device.quiet()
    gateway.core.commit([record.record_id])
    assert device.pubacks(1) == [77]
    parsed = parse(record)
    assert (parsed.format, parsed.origin, len(parsed.messages)) == (1, "gw-test", 1)
    (message,) = parsed.messages
    assert (message.product_key, message.device_name, message.topic) == ("pk", "dev", UPDATE)
    assert (message.payload, message.qos, message.handle, message.epoch) == (b"hello", 1, handle, 1)
    assert (message.sequence, message.hops, message.traceparent) == (1, 0, "")
    assert message_ids.worker_of(message.id) == 7
    assert abs(message_ids.time_of(message.id) - message.received_ms) < 10_000
    assert (record.stream, record.messages, record.samples) == (CUSTOM, 1, [])
    assert record.partition == slots.device_partition("pk", "dev", 4)


def test_record_begins_with_its_format(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE))
    (record,) = gateway.records()
    assert record.value[:2] == b"\x08\x01"


def test_message_without_payload_parses(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b""))
    assert gateway.messages(1)[0].payload == b""


def test_ids_and_sequence_rise(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(b"".join(publish_packet(UPDATE, b"%d" % n, 1, n + 1) for n in range(700)))
    messages = gateway.messages(700)
    assert [message.sequence for message in messages] == list(range(1, 701))
    ids = [message.id for message in messages]
    assert ids == sorted(set(ids))
    assert [message.payload for message in messages] == [b"%d" % n for n in range(700)]
    assert device.pubacks(700) == list(range(1, 701))


def test_record_holds_at_most_its_messages_and_bytes(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(record_max_messages=10, record_max_bytes=20_000)
    device, _ = gateway.device()
    device.send(b"".join(publish_packet(UPDATE, b"a") for _ in range(30)))
    device.send(b"".join(publish_packet(UPDATE, b"b" * 9_000) for _ in range(4)))
    seen = 0
    while seen < 34:
        (record,) = gateway.records()
        assert record.messages <= 10
        assert len(record.value) <= 20_000
        seen += record.messages


def test_message_larger_than_a_record_travels_alone(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(record_max_bytes=2_000)
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b"b" * 9_000))
    (record,) = gateway.records()
    assert (record.messages, len(parse(record).messages[0].payload)) == (1, 9_000)


def test_categories_and_partitions_have_records_of_their_own(gateway: Gateway) -> None:
    names = [f"dev{n}" for n in range(12)]
    for name in names:
        device, _ = gateway.device(name)
        device.send(publish_packet(f"/pk/{name}/user/update") + publish_packet(f"/sys/pk/{name}/lifecycle"))
    seen: set[tuple[int, str]] = set()
    while len(seen) < 24:
        (record,) = gateway.records()
        for message in parse(record).messages:
            assert record.partition == slots.device_partition("pk", message.device_name, 4)
            seen.add((record.stream, message.device_name))
    assert seen == {(stream, name) for stream in (CUSTOM, LIFECYCLE) for name in names}


def test_pubacks_leave_in_order_when_records_commit_out_of_order(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b"first", 1, 1))
    (first,) = gateway.records()
    device.send(publish_packet("/sys/pk/dev/lifecycle", b"second", 1, 2))
    (second,) = gateway.records()
    device.send(publish_packet("/pk/other/user/update", b"refused", 1, 3))
    device.send(publish_packet("/ext/ntp/pk/dev/request", b"local", 1, 4))
    device.send(publish_packet(UPDATE, b"last", 1, 5))
    (last,) = gateway.records()
    gateway.core.commit([last.record_id, second.record_id])
    assert device.quiet()
    gateway.core.commit([first.record_id])
    assert device.pubacks(5) == [1, 2, 3, 4, 5]


def test_local_topics_come_in_the_batch_and_are_acknowledged_at_once(gateway: Gateway) -> None:
    device, handle = gateway.device()
    device.send(publish_packet("/ext/ntp/pk/dev/request", b"{}", 1, 9))
    assert device.pubacks(1) == [9]
    (message,) = gateway.local()
    assert message[:7] == (handle, "pk", "dev", 1, "ntp", "/ext/ntp/pk/dev/request", b"{}")
    assert message.qos == 1


def test_local_queue_is_bounded(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_local_queue=5)
    device, _ = gateway.device()
    device.send(b"".join(publish_packet("/ext/ntp/pk/dev/request", b"", 1, n) for n in range(1, 9)))
    assert device.pubacks(8) == list(range(1, 9))
    assert len(gateway.local(4)) == 4
    assert gateway.counter("refused_publish:local_queue", 4) == 4


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("/pk/other/user/update", "permission"),
        ("/pk/dev/user/get", "permission"),
        ("/pk/dev/user/unknown", "permission"),
        ("/pk/dev/user", "permission"),
        ("/sys/pk/dev/rrpc/request/1", "permission"),
        ("/ext/rrpc/1/anything", "permission"),
        ("nonsense", "permission"),
        ("/pk/dev/user/update/" + "x" * 200, "permission"),
        ("/sys/pk/dev/thing/event/property/post", "owner_absent"),
    ],
)
def test_refused_publish_is_acknowledged_and_counted(gateway: Gateway, topic: str, reason: str) -> None:
    device, _ = gateway.device()
    device.send(publish_packet(topic, b"", 1, 3))
    assert device.pubacks(1) == [3]
    assert gateway.counter(f"refused_publish:{reason}") == 1


def test_ext_flag_opens_custom_rrpc(gateway: Gateway) -> None:
    device, _ = gateway.device(ext=1)
    device.send(publish_packet("/ext/rrpc/1/any/thing", b"", 1, 3))
    assert device.pubacks(1) == [3]
    assert gateway.local()[0].category == "rrpc"


def test_failed_record_closes_its_connections_and_no_other(gateway: Gateway) -> None:
    device, handle = gateway.device()
    other, _ = gateway.device("other")
    device.send(publish_packet(UPDATE, b"", 1, 1))
    (record,) = gateway.records()
    gateway.core.fail([record.record_id])
    assert device.closed()
    (closed,) = gateway.take(gateway.seen.closed)
    assert (closed.handle, closed.reason, closed.product_key, closed.device_name) == (
        handle,
        "record_failed",
        "pk",
        "dev",
    )
    assert gateway.take(gateway.seen.flushed) == [handle]
    assert other.quiet()


def test_record_not_committed_in_time_fails(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(record_timeout_ms=100)
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b"", 1, 1))
    (record,) = gateway.records()
    assert device.closed()
    gateway.core.commit([record.record_id])
    assert gateway.counter("late_answers") == 1
    assert gateway.counter("records_timed_out") == 1


def test_committing_twice_or_nonsense_is_counted(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b"", 1, 1))
    (record,) = gateway.records()
    gateway.core.commit([record.record_id, record.record_id, 12345, 0])
    assert device.pubacks(1) == [1]
    assert gateway.counter("late_answers", 3) == 3


def test_full_partition_stops_only_its_connections(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(partition_max_inflight_bytes=10_000)
    here = "dev"
    partition = slots.device_partition("pk", here, 4)
    there = next(name for name in map("d{}".format, range(99)) if slots.device_partition("pk", name, 4) != partition)
    device, _ = gateway.device(here)
    other, _ = gateway.device(there)
    device.send(publish_packet(UPDATE, b"x" * 10_000, 1, 1) + publish_packet(UPDATE, b"late", 1, 2) + b"\xc0\x00")
    (record,) = gateway.records()
    gateway.counter("backpressure_pauses")
    other.send(publish_packet(f"/pk/{there}/user/update", b"", 1, 1))
    gateway.messages(1)
    assert other.pubacks(1) == [1]
    device.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        device.receive()
    device.socket.settimeout(WAIT)
    gateway.core.commit([record.record_id])
    assert device.pubacks(1) == [1]
    device.expect("pingresp")
    assert gateway.messages(1)[0].payload == b"late"
    assert device.pubacks(1) == [2]


def test_one_message_in_n_is_traced(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(trace_every=3)
    device, _ = gateway.device()
    device.send(b"".join(publish_packet(UPDATE, b"") for _ in range(9)))
    samples: list[Sample] = []
    traced: list[record_pb2.Message] = []
    while len(samples) < 3:
        (record,) = gateway.records()
        samples += record.samples
        traced += [message for message in parse(record).messages if message.traceparent]
    assert [sample.traceparent for sample in samples] == [message.traceparent for message in traced]
    assert [sample.message_id for sample in samples] == [message.id for message in traced]
    assert len({sample.traceparent for sample in samples}) == 3
    assert all(len(sample.traceparent) == 55 and sample.topic == UPDATE for sample in samples)


def test_second_phase_flush_comes_with_the_commit(gateway: Gateway) -> None:
    device, handle = gateway.device()
    device.send(publish_packet(UPDATE, b"", 1, 1))
    (record,) = gateway.records()
    gateway.core.close([(handle, "kicked")])
    assert device.closed()
    (closed,) = gateway.take(gateway.seen.closed)
    assert (closed.reason, gateway.seen.flushed) == ("kicked", [])
    gateway.core.commit([record.record_id])
    assert gateway.take(gateway.seen.flushed) == [handle]
    assert gateway.core.sessions() == 0


def test_close_seals_at_once(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(record_linger_ms=3_600_000)
    device, handle = gateway.device()
    device.send(publish_packet(UPDATE, b"", 0) + b"\xc0\x00")
    device.expect("pingresp")
    gateway.core.close([(handle, "kicked")])
    gateway.messages(1)
    assert gateway.take(gateway.seen.flushed) == [handle]


def test_late_answer_does_not_reach_a_newer_session(gateway: Gateway) -> None:
    device, old = gateway.device()
    device.close()
    gateway.take(gateway.seen.flushed)
    newer, new = gateway.device()
    assert new != old
    gateway.core.close([(old, "kicked")])
    gateway.deliver(old, "/pk/dev/user/get")
    assert gateway.outcome() == "offline"
    assert newer.quiet()


def test_abandoned_core_stops(make_gateway: MakeGateway) -> None:
    gateway = make_gateway()
    device: Device = gateway.device()[0]
    gateway.core.stop()
    assert device.closed()
    gateway.core.poll()
    gateway.core.stop()
