"""What the core tells of one session when asked."""

from tests.support.gateway_core import CLASSES, LIMITS, Gateway, MakeGateway, publish_packet, subscribe_packet
from thinghub_gateway_core import Figures

UPDATE = "/pk/dev/user/update"
NOBODY = Figures(0, False, 0, 0, 0, 0, 0, 0, 0, [], 0, 0, 0)


def test_unknown_and_ended_handles_are_answered_in_their_place(gateway: Gateway) -> None:
    device, handle = gateway.device()
    assert [figures.found for figures in gateway.inspect(0, handle, 2**62)] == [False, True, False]
    device.close()
    gateway.take(gateway.seen.closed)
    assert gateway.inspect(handle) == [NOBODY._replace(handle=handle)]


def test_each_session_has_figures_of_its_own(make_gateway: MakeGateway) -> None:
    gateway = make_gateway(max_inflight_down=1)
    device, own = gateway.device(keep_alive=90)
    (sub,) = gateway.attach(own, "sub")
    device.send(subscribe_packet(1, ("/pk/sub/user/get", 0), ("/pk/sub/user/tree/#", 0)))
    device.expect("suback")
    topics = ["/pk/sub/user/update", "/pk/sub/user/update", "/pk/sub/user/get", "/ext/ntp/pk/dev/request"]
    topics += ["/pk/none/user/update", "/sys/pk/dev/thing/event/x/post"]
    device.send(b"".join(publish_packet(topic) for topic in topics) + b"\xc0\x00")
    device.expect("pingresp")
    gateway.deliver(sub, "/pk/sub/user/get", b"")
    for _ in range(3):
        gateway.deliver(sub, "/pk/sub/user/get", b"", 1)
    device.expect("publish")
    device.expect("publish")
    one, other = gateway.inspect(sub, own)
    assert one._replace(last_packet_ms_ago=0) == Figures(
        handle=sub,
        found=True,
        messages_up=2,
        messages_down=2,
        refused_permission=1,
        refused_quota=0,
        quota_delays=0,
        in_flight=1,
        queued=2,
        subscriptions=["/pk/sub/user/get", "/pk/sub/user/tree/#"],
        keep_alive_s=90,
        last_packet_ms_ago=0,
        out_buffer=0,
    )
    assert other._replace(last_packet_ms_ago=0) == NOBODY._replace(
        handle=own, found=True, messages_up=1, refused_permission=2, keep_alive_s=90
    )
    assert one.last_packet_ms_ago < 60_000


def test_quota_is_counted_by_session(gateway: Gateway) -> None:
    limits = LIMITS._replace(up_qos0_per_second=1, bytes_per_second=1)
    gateway.core.set_product_policy("sp", 1, CLASSES, LIMITS._replace(up_qos0_per_second=1))
    gateway.core.set_product_policy("pk", 2, CLASSES, limits)
    device, own = gateway.device()
    (sub,) = gateway.attach(own, "sub", product_key="sp")
    device.send(b"".join(publish_packet("/sp/sub/user/update") for _ in range(200)) + b"\xc0\x00")
    device.expect("pingresp")
    device.send(publish_packet(UPDATE, b"x" * 100) + publish_packet(UPDATE))
    gateway.counter("quota_delayed")
    one, other = gateway.inspect(sub, own)
    assert one.messages_up + one.refused_quota == 200
    assert one.refused_quota >= 190
    assert (other.messages_up, other.refused_quota, other.quota_delays) == (1, 0, 1)


def test_subscriptions_named_are_bounded(gateway: Gateway) -> None:
    gateway.core.set_product_policy("pk", 2, CLASSES, LIMITS._replace(subscriptions=0))
    device, handle = gateway.device()
    for n in range(0, 120, 8):
        device.send(subscribe_packet(1, *((f"/pk/dev/user/tree/{n + m}", 0) for m in range(8))))
        assert device.expect("suback")["codes"] == [0] * 8
    (figures,) = gateway.inspect(handle)
    assert len(figures.subscriptions) == 100
