"""Any order of SUBSCRIBE, UNSUBSCRIBE, stored, lost: what Python stored makes the same session again, and no SUBACK
comes before its change is stored or out of order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.gateway_core import Gateway, subscribe_packet, unsubscribe_packet
from thinghub_gateway_core import Subscription

FILTERS = ["/pk/dev/user/get", "/pk/dev/user/tree/#", "/sys/pk/dev/rrpc/request/+", "/sys/pk/dev/#", "/pk/dev/user/no"]
CHOICE = st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), CHOICE),
        st.tuples(st.sampled_from(["store", "store", "lose", "drop"]), st.just([])),
    ),
    max_size=20,
)


class Walk:
    """A device that goes through the steps, and the store of its session: changes are stored one by one, in order."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.subscriptions: set[str] = set()
        self.stopped: set[str] = set()
        self.connect()

    def connect(self) -> None:
        self.device, self.handle = self.gateway.keep(
            subscriptions=sorted(self.subscriptions), stopped=sorted(self.stopped)
        )
        self.sent = self.answered = 0

    def subscribe(self, filters: list[str]) -> None:
        self.sent += 1
        self.device.send(subscribe_packet(self.sent, *((text, 1) for text in filters)))
        self.answers()

    def unsubscribe(self, filters: list[str]) -> None:
        self.sent += 1
        self.device.send(unsubscribe_packet(self.sent, *filters))
        self.answers()

    def answers(self) -> None:
        if len(self.changes()) >= 14:
            self.store_all()
        self.device.send(b"\xc0\x00")
        while (received := self.device.receive())[0] != "pingresp":
            self.answered += 1
            assert received[1]["packet_id"] == self.answered

    def changes(self) -> list[Subscription]:
        """Those of this connection: what an older one did not see stored comes too late."""
        self.gateway.poll(0)
        seen = self.gateway.seen.subscriptions
        seen[:] = [change for change in seen if change.handle == self.handle]
        return seen

    def store(self, _: list[str]) -> None:
        changes = self.changes()
        if changes:
            self.apply(changes.pop(0))
            self.answers()

    def apply(self, change: Subscription) -> None:
        self.subscriptions = (self.subscriptions | set(change.added)) - set(change.removed)
        self.stopped = (self.stopped | set(change.stopped)) - set(change.resumed)
        self.gateway.core.confirm_subscriptions([change.token])

    def store_all(self) -> None:
        while changes := self.changes():
            self.apply(changes.pop(0))

    def lose(self, _: list[str]) -> None:
        changes = self.changes()
        if changes:
            self.gateway.core.fail_subscriptions([changes.pop().token])
            assert self.device.closed()
            self.connect()

    def drop(self, _: list[str]) -> None:
        self.device.close()
        self.connect()

    def finish(self) -> None:
        self.answers()
        while self.answered < self.sent:
            self.store_all()
            self.answers()
        held = self.gateway.inspect(self.handle)[0].subscriptions
        assert set(held) == self.subscriptions
        self.gateway.deliver(self.handle, "/sys/pk/dev/rrpc/request/1")
        heard = bool(self.subscriptions & set(FILTERS[2:4])) or not self.stopped & set(FILTERS[2:4])
        assert self.gateway.outcome() == ("sent" if heard else "no_subscriber")


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_what_was_stored_is_the_session(steps: list[tuple[str, list[str]]]) -> None:
    gateway = Gateway()
    try:
        walk = Walk(gateway)
        for what, filters in steps:
            getattr(walk, what)(filters)
        walk.finish()
        counters = gateway.core.counters()
        assert all(value == 0 for name, value in counters.items() if name.startswith("poisoned"))
    finally:
        gateway.core.stop()
