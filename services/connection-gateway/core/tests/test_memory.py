"""Memory that traffic holds is known, and short memory refuses the new and ends the slow before it harms the rest."""

import socket

from tests.support.gateway_core import Device, Gateway, MakeGateway, connect_packet, puback_packet, publish_packet

RRPC = "/sys/pk/dev/rrpc/request/1"
UPDATE = "/pk/dev/user/update"


def buffered(gateway: Gateway) -> int:
    return gateway.core.counters()["buffered_bytes"]


def settle(gateway: Gateway, below: int) -> None:
    """Gauges are those of the last turn: looks again until there is no more than this."""
    for _ in range(1_000):
        if buffered(gateway) <= below:
            return
        gateway.poll(0.01)
    raise AssertionError(buffered(gateway))


def owe(gateway: Gateway, name: str, count: int) -> tuple[Device, int]:
    """A device with so many messages of 20 kB behind its window of one."""
    device, handle = gateway.device(name)
    for _ in range(count + 1):
        gateway.deliver(handle, "/t", b"x" * 20_000, 1, subscribed=False)
    device.expect("publish")
    return device, handle


def test_an_idle_connection_holds_nothing(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b"x" * 1_000, 1, 1))
    gateway.messages(1)
    assert device.pubacks(1) == [1]
    settle(gateway, 0)


def test_bytes_of_records_partial_packets_and_messages_not_polled_are_counted(gateway: Gateway) -> None:
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b"x" * 50_000, 1, 1))
    (record,) = gateway.records()
    assert gateway.counter("inflight_bytes", 50_000) < 60_000
    whole = publish_packet("/ext/ntp/pk/dev/request", b"x" * 200_000, 1, 2)
    device.send(whole[:100_000])
    assert gateway.counter("buffered_bytes", 150_000)
    device.send(whole[100_000:])
    assert device.send(b"\xc0\x00").receive()[0] == "pingresp"
    assert buffered(gateway) > 250_000
    gateway.core.commit([record.record_id])
    gateway.local()
    settle(gateway, 0)
    assert device.pubacks(2) == [1, 2]


def test_what_a_peer_has_not_taken_is_counted(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_out_buffer_bytes=1 << 30, max_inflight_down=1)
    slow, handle = gateway.device("slow")
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    while buffered(gateway) < 1_000_000:
        gateway.deliver(handle, "/t", b"x" * 50_000, subscribed=False)
        gateway.outcome()
    slow.close()
    settle(gateway, 0)
    device, _ = owe(gateway, "dev", 3)
    assert gateway.counter("buffered_bytes", 60_000) < 70_000
    for packet_id in (1, 2, 3):
        device.send(puback_packet(packet_id)).expect("publish")
    settle(gateway, 0)


def test_a_connect_is_refused_while_memory_is_short(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(refuse_above_bytes=40_000)
    device, _ = gateway.device()
    device.send(publish_packet(UPDATE, b"x" * 50_000, 1, 1))
    (record,) = gateway.records()
    refused = Device(gateway.port).send(connect_packet())
    assert refused.expect("connack")["code"] == 3
    assert refused.closed()
    assert gateway.counter("refused_connect:memory") == 1
    assert device.quiet()
    gateway.core.commit([record.record_id])
    assert device.pubacks(1) == [1]
    gateway.device("other")


def test_records_stay_below_the_ceiling_and_all_are_served_in_the_end(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(partitions=64, refuse_above_bytes=4_000_000)
    devices = [gateway.device(f"d{n}")[0] for n in range(40)]
    for n, device in enumerate(devices):
        device.send(b"".join(publish_packet(f"/pk/d{n}/user/update", b"x" * 10_000, 1, i) for i in range(1, 41)))
    gateway.counter("backpressure_pauses")
    assert 2_000_000 < gateway.counter("inflight_bytes", 2_000_000) < 4_500_000
    left = 40 * len(devices)
    while left:
        assert gateway.core.counters()["inflight_bytes"] < 4_500_000
        (record,) = gateway.records()
        gateway.core.commit([record.record_id])
        left -= record.messages
    for device in devices:
        assert device.pubacks(40) == list(range(1, 41))
    assert "closed:memory" not in gateway.core.counters()


def test_the_slowest_reader_is_closed_first_and_only_as_many_as_needed(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(refuse_above_bytes=150_000, max_inflight_down=1)
    slow, _ = owe(gateway, "slow", 2)
    well, _ = gateway.device("well")
    slower, handle = owe(gateway, "slower", 6)
    assert slower.closed()
    (closed,) = gateway.take(gateway.seen.closed)
    assert (closed.handle, closed.reason) == (handle, "memory")
    assert slow.quiet()
    assert well.quiet()
    gateway.device("new")
    assert gateway.core.counters()["closed:memory"] == 1
