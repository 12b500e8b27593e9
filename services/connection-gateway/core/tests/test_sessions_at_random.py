"""Any order of attach, detach, publish, deliver, commit and close: each session ends once, PUBACKs leave in order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.gateway_core import Gateway, publish_packet
from thinghub_gateway_core import Downlink

DEVICE = st.integers(0, 3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("attach"), DEVICE),
        st.tuples(st.just("detach"), DEVICE),
        # Device 4 is never attached, -1 is the connection's own.
        st.tuples(st.just("publish"), st.integers(-1, 4)),
        st.tuples(st.just("deliver"), st.integers(-1, 3)),
        st.tuples(st.just("commit"), st.integers(0, 5)),
        st.tuples(st.sampled_from(["fail", "drop", "kick"]), st.just(0)),
    ),
    max_size=40,
)


class Walk:
    """A gateway device that goes through the steps, and connects anew when one ends its connection."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.handles: list[int] = []
        self.tokens = 0
        self.connect()

    def connect(self) -> None:
        self.device, self.own = self.gateway.device("gw")
        self.handles.append(self.own)
        self.subs: dict[int, int] = {}
        self.sent = self.acknowledged = 0

    def attach(self, number: int) -> None:
        (handle,) = self.gateway.attach(self.own, f"s{number}")
        assert handle > 0
        self.handles.append(handle)
        self.subs[number] = handle

    def detach(self, number: int) -> None:
        self.gateway.core.close([(self.subs.get(number, 0), "logout")])

    def publish(self, number: int) -> None:
        name = "gw" if number < 0 else f"s{number}"
        self.sent += 1
        topic = f"/sys/pk/{name}/lifecycle" if self.sent % 2 else f"/pk/{name}/user/update"
        self.device.send(publish_packet(topic, b"", 1, self.sent))
        self.answers()

    def answers(self) -> None:
        """What has come so far, until the answer to a PING: PUBACKs in the order of the publishes."""
        self.device.send(b"\xc0\x00")
        while (received := self.device.receive())[0] != "pingresp":
            if received[0] == "puback":
                self.acknowledged += 1
                assert received[1]["packet_id"] == self.acknowledged

    def deliver(self, number: int) -> None:
        self.tokens += 1
        handle = self.subs.get(number, self.own)
        self.gateway.core.deliver([Downlink(self.tokens, handle, "/t", b"", 1, False)])

    def commit(self, number: int) -> None:
        self.gateway.poll(0.01)
        records = self.gateway.seen.records
        if records:
            self.gateway.core.commit([records.pop(number % len(records)).record_id])

    def fail(self, _: int) -> None:
        self.gateway.poll(0.01)
        records = self.gateway.seen.records
        if records:
            self.gateway.core.fail([records.pop(0).record_id])
            self.drop(0)

    def drop(self, _: int) -> None:
        self.device.close()
        self.connect()

    def kick(self, _: int) -> None:
        self.gateway.core.close([(self.own, "kicked")])
        assert self.device.closed()
        self.connect()

    def finish(self) -> None:
        """Commits what is left, then ends the last connection."""
        gateway = self.gateway
        while self.acknowledged < self.sent:
            self.commit(0)
            self.answers()
        self.device.close()
        while len(gateway.seen.flushed) < len(self.handles) or len(gateway.seen.delivered) < self.tokens:
            assert gateway.poll()
            gateway.core.commit([record.record_id for record in gateway.seen.records])
            gateway.seen.records.clear()


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_each_session_ends_once_and_pubacks_leave_in_order(steps: list[tuple[str, int]]) -> None:
    gateway = Gateway(record_linger_ms=1)
    try:
        walk = Walk(gateway)
        for what, number in steps:
            getattr(walk, what)(number)
        walk.finish()
        assert sorted(closed.handle for closed in gateway.seen.closed) == sorted(walk.handles)
        assert sorted(gateway.seen.flushed) == sorted(walk.handles)
        assert sorted(delivered.token for delivered in gateway.seen.delivered) == list(range(1, walk.tokens + 1))
        counters = gateway.core.counters()
        assert (counters["sessions"], counters["sub_sessions"]) == (0, 0)
        assert all(value == 0 for name, value in counters.items() if name.startswith("poisoned"))
    finally:
        gateway.core.stop()
