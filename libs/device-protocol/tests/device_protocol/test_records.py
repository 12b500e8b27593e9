import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinghub.device_protocol.records import Message, RecordFormatError, decode_record, encode_record
from thinghubpb.bus.v1 import record_pb2

int64 = st.integers(min_value=0, max_value=(1 << 63) - 1)
messages = st.builds(
    Message,
    id=int64,
    product_key=st.text(max_size=10),
    device_name=st.text(max_size=10),
    topic=st.text(max_size=30),
    payload=st.binary(max_size=50),
    epoch=int64,
    sequence=int64,
    received_ms=int64,
    handle=st.integers(min_value=0, max_value=(1 << 64) - 1),
    hops=st.integers(min_value=0, max_value=5),
    qos=st.integers(min_value=0, max_value=1),
    traceparent=st.text(max_size=55),
)


@given(st.text(max_size=20), st.lists(messages, max_size=5))
def test_a_record_comes_back_as_it_was(origin: str, sent: list[Message]) -> None:
    record = decode_record(encode_record(origin, sent))
    assert record.origin == origin
    assert list(record.messages) == sent


def test_format_one_is_frozen_in_bytes() -> None:
    value = encode_record("g", [Message(1, "p", "d", "/t", b"x", epoch=2, sequence=3, received_ms=4, handle=5, qos=1)])
    assert value.hex() == "0801120167" + "1a19" + "08011201701a016422022f742a0178" + "30023803400448055801"


@pytest.mark.parametrize("value", [b"\xff\xff", b"", record_pb2.Record(format=2).SerializeToString()])
def test_what_is_no_record_of_a_known_format_is_refused(value: bytes) -> None:
    with pytest.raises(RecordFormatError):
        decode_record(value)
