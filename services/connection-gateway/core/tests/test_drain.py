"""Closing many connections at a pace while they publish: what was acknowledged is what was committed."""

import select
import socket
import time

from tests.support.gateway_core import Gateway, MakeGateway, connect_packet, parse, publish_packet
from thinghub_gateway_core import Accept

DEVICES = 300
A_BATCH = 50
PACE = 0.1
"""500 in a second."""


class Fleet:
    """Devices that publish a numbered message whenever the one before was acknowledged, until they are closed."""

    def __init__(self, gateway: Gateway, count: int) -> None:
        self.gateway = gateway
        self.poll = select.epoll()
        self.devices: dict[int, tuple[str, socket.socket]] = {}
        self.acknowledged: dict[str, int] = {}
        self.committed: dict[str, list[int]] = {}
        self.handles = [self._join(f"d{number}") for number in range(count)]

    def _join(self, name: str) -> int:
        peer = socket.create_connection(("127.0.0.1", self.gateway.port), timeout=20)
        peer.sendall(connect_packet(username=f"{name}&pk"))
        (request,) = self.gateway.take(self.gateway.seen.connects)
        (handle,) = self.gateway.core.accept([Accept(request.conn, "pk", name, 1, 0)])
        assert peer.recv(4) == b"\x20\x02\x00\x00"
        self.devices[peer.fileno()] = (name, peer)
        self.acknowledged[name] = 0
        self.poll.register(peer, select.EPOLLIN)
        self.publish(name, peer)
        return handle

    def publish(self, name: str, peer: socket.socket) -> None:
        number = self.acknowledged[name] + 1
        peer.sendall(publish_packet(f"/pk/{name}/user/update", b"%d" % number, 1, number))

    def turn(self) -> None:
        """What the core has to say, and what devices were told."""
        self.gateway.poll(0.001)
        self.commit()
        for number, _ in self.poll.poll(0):
            self.hear(*self.devices[number])

    def commit(self) -> None:
        records = self.gateway.seen.records
        for record in records:
            for message in parse(record).messages:
                self.committed.setdefault(message.device_name, []).append(int(message.payload))
        self.gateway.core.commit([record.record_id for record in records])
        records.clear()

    def hear(self, name: str, peer: socket.socket) -> None:
        try:
            heard = peer.recv(4)
            if heard:
                self.acknowledged[name] += 1
                assert heard == b"\x40\x02" + self.acknowledged[name].to_bytes(2, "big")
                self.publish(name, peer)
        except OSError:
            heard = b""
        if not heard:
            del self.devices[peer.fileno()]
            self.poll.unregister(peer)
            peer.close()


def test_paced_close_with_uplink_in_flight_loses_nothing_acknowledged(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(partitions=2)
    fleet = Fleet(gateway, DEVICES)
    left, due = list(fleet.handles), time.monotonic()
    while left or fleet.devices:
        fleet.turn()
        if left and time.monotonic() >= due:
            gateway.core.close([(handle, "drained") for handle in left[:A_BATCH]])
            left, due = left[A_BATCH:], due + PACE
    while len(gateway.seen.flushed) < DEVICES:
        fleet.turn()
    assert sorted(gateway.seen.flushed) == sorted(fleet.handles)
    assert {closed.reason for closed in gateway.seen.closed} == {"drained"}
    for name, acknowledged in fleet.acknowledged.items():
        committed = fleet.committed[name]
        # What was under way at the end may be stored and not acknowledged; never the other way round.
        assert committed == list(range(1, len(committed) + 1))
        assert acknowledged <= len(committed) <= acknowledged + 1
    counters = gateway.core.counters()
    assert counters["messages_in:qos1"] == sum(map(len, fleet.committed.values()))
    assert (counters["records_failed"], counters["records_outstanding"], counters["buffered_bytes"]) == (0, 0, 0)
