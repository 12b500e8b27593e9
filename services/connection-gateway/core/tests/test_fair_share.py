"""A product that is too fast stops itself; the devices of another go on, though they share the partition."""

from tests.support.gateway_core import (
    CLASSES,
    LIMITS,
    Device,
    Gateway,
    MakeGateway,
    connect_packet,
    parse,
    publish_packet,
)
from thinghub_gateway_core import Accept


def quiet_device(gateway: Gateway) -> Device:
    gateway.core.set_product_policy("quiet", 1, CLASSES, LIMITS)
    device = Device(gateway.port).send(connect_packet(username="dev&quiet"))
    (request,) = gateway.take(gateway.seen.connects)
    assert all(gateway.core.accept([Accept(request.conn, "quiet", "dev", 1, 0)]))
    device.expect("connack")
    return device


def commit_next_of(gateway: Gateway, product_key: str) -> None:
    """Commits the next record with messages of this product, and leaves those before it."""
    while True:
        (record,) = gateway.records()
        if any(message.product_key == product_key for message in parse(record).messages):
            return gateway.core.commit([record.record_id])


def test_a_noisy_product_leaves_room_for_a_quiet_one(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(partitions=1, partition_max_inflight_bytes=200_000)
    noisy = [gateway.device(f"d{n}")[0] for n in range(4)]
    quiet = quiet_device(gateway)
    for number, device in enumerate(noisy):
        packets = (publish_packet(f"/pk/d{number}/user/update", b"x" * 5_000, 1, n) for n in range(1, 101))
        device.send(b"".join(packets))
    gateway.counter("backpressure_pauses", len(noisy))
    held = gateway.counter("inflight_bytes", 150_000)
    assert held < 180_000
    for packet_id in range(1, 6):
        quiet.send(publish_packet("/quiet/dev/user/update", b"", 1, packet_id))
        commit_next_of(gateway, "quiet")
        assert quiet.pubacks(1) == [packet_id]
    assert gateway.core.counters()["inflight_bytes"] >= 150_000


def test_a_noisy_product_leaves_room_among_what_waits_for_python(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_local_queue=100)
    noisy, _ = gateway.device()
    quiet = quiet_device(gateway)
    noisy.send(b"".join(publish_packet("/ext/ntp/pk/dev/request", b"", 1, n) for n in range(1, 201)))
    assert noisy.pubacks(200) == list(range(1, 201))
    quiet.send(publish_packet("/ext/ntp/quiet/dev/request", b"", 1, 1))
    assert quiet.pubacks(1) == [1]
    heard = gateway.local(gateway.core.counters()["local_messages"])
    assert [message.product_key for message in heard] == ["pk"] * (len(heard) - 1) + ["quiet"]
    assert 70 < len(heard) < 80
    noisy.send(publish_packet("/ext/ntp/pk/dev/request", b"", 1, 1))
    assert gateway.local()[0].product_key == "pk"


def test_a_noisy_product_goes_on_when_its_records_are_committed(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(partitions=1, partition_max_inflight_bytes=50_000)
    device, _ = gateway.device()
    device.send(b"".join(publish_packet("/pk/dev/user/update", b"x" * 5_000, 1, n) for n in range(1, 101)))
    gateway.messages(100)
    assert device.pubacks(100) == list(range(1, 101))
    assert gateway.core.counters()["backpressure_pauses"] > 0
