"""Bus records: many device messages in one value (invariants §3, thinghubpb.bus.v1.Record).

The gateway's core writes the same bytes without Python. A reader accepts the format it knows and the one before it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from thinghubpb.bus.v1 import record_pb2

FORMAT = 1
OLDEST_FORMAT = 1


class RecordFormatError(ValueError):
    """The bytes are no record, or one of a format this release does not know."""


@dataclass(frozen=True, slots=True)
class Message:
    """One device message. Units and meaning are those of thinghubpb.bus.v1.Message."""

    id: int
    product_key: str
    device_name: str
    topic: str
    payload: bytes
    epoch: int = 0
    sequence: int = 0
    received_ms: int = 0
    handle: int = 0
    hops: int = 0
    qos: int = 0
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """`origin` is the incarnation of the gateway that packed it, empty when a service did."""

    origin: str
    messages: tuple[Message, ...]


def encode_record(origin: str, messages: Iterable[Message]) -> bytes:
    record = record_pb2.Record(format=FORMAT, origin=origin)
    for message in messages:
        record.messages.add(
            id=message.id,
            product_key=message.product_key,
            device_name=message.device_name,
            topic=message.topic,
            payload=message.payload,
            epoch=message.epoch,
            sequence=message.sequence,
            received_ms=message.received_ms,
            handle=message.handle,
            hops=message.hops,
            qos=message.qos,
            traceparent=message.traceparent,
        )
    return record.SerializeToString()


def decode_record(value: bytes) -> Record:
    """Raises RecordFormatError."""
    try:
        record = record_pb2.Record.FromString(value)
    except DecodeError as error:
        raise RecordFormatError("the value is not a bus record") from error
    if not OLDEST_FORMAT <= record.format <= FORMAT:
        raise RecordFormatError(f"record format {record.format} is not in {OLDEST_FORMAT}..{FORMAT}")
    return Record(record.origin, tuple(_message(message) for message in record.messages))


def _message(message: record_pb2.Message) -> Message:
    return Message(
        message.id,
        message.product_key,
        message.device_name,
        message.topic,
        message.payload,
        message.epoch,
        message.sequence,
        message.received_ms,
        message.handle,
        message.hops,
        message.qos,
        message.traceparent,
    )
