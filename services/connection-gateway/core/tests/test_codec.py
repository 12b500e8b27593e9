"""`codec_decode`, the codec's face for tests and tools."""

import pytest

from tests.support.gateway_core import connect_packet, publish_packet, subscribe_packet, unsubscribe_packet
from thinghub_gateway_core import codec_decode


def test_packets_of_a_buffer_come_in_order() -> None:
    data = connect_packet() + subscribe_packet(1, ("a/+", 1), ("b", 0)) + unsubscribe_packet(2, "b")
    data += publish_packet("t", b"p", 1, 3, flags=8) + b"\x40\x02\x00\x03\xc0\x00\xd0\x00\xe0\x00\x90\x03\x00\x01\x80"
    packets = codec_decode(data)
    assert [kind for kind, _ in packets] == [
        "connect",
        "subscribe",
        "unsubscribe",
        "publish",
        "puback",
        "pingreq",
        "pingresp",
        "disconnect",
        "suback",
    ]
    assert packets[0][1] == {
        "level": 4,
        "clean": True,
        "keep_alive_s": 60,
        "client_id": "c|securemode=3|",
        "username": "dev&pk",
        "password": b"secret",
    }
    assert packets[1][1] == {"packet_id": 1, "filters": [("a/+", 1), ("b", 0)]}
    assert packets[3][1]["dup"] is True
    assert packets[8][1] == {"packet_id": 1, "codes": [0x80]}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x30", "truncated"),
        (b"\x30\x05ab", "truncated"),
        (b"\x00\x00", "bad_type"),
        (b"\x30\x80\x80\x40", "too_large"),
    ],
)
def test_what_is_no_packet_raises_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        codec_decode(data)
