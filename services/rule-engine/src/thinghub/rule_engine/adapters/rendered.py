"""Outputs as they wait on the bus (thinghubpb.bus.v1.RetryRecord)."""

from collections.abc import Sequence

import orjson

from thinghub.rule_engine.domain.outputs import Output
from thinghubpb.bus.v1 import retry_pb2

FORMAT = 1
# A bus record takes 1 MiB; what a rule made of a 256 kB message fits several times.
MAX_RECORD_BYTES = 900_000
RECORD_BYTES = 400_000
RECORD_OUTPUTS = 500


def encode(outputs: Sequence[Output], not_before_ms: int) -> tuple[list[bytes], int]:
    """Records in order, and how many outputs are too large for any record."""
    records: list[bytes] = []
    too_large = 0
    record, size = retry_pb2.RetryRecord(format=FORMAT), 0
    for output in outputs:
        body = orjson.dumps(output.result)
        if len(body) > MAX_RECORD_BYTES:
            too_large += 1
            continue
        payload = output.payload if len(body) + len(output.payload) <= MAX_RECORD_BYTES else b""
        weight = len(body) + len(payload)
        if record.actions and (size + weight > RECORD_BYTES or len(record.actions) >= RECORD_OUTPUTS):
            records.append(record.SerializeToString())
            record, size = retry_pb2.RetryRecord(format=FORMAT), 0
        _add(record, output, body, payload, not_before_ms)
        size += weight
    if record.actions:
        records.append(record.SerializeToString())
    return records, too_large


def _add(record: retry_pb2.RetryRecord, output: Output, body: bytes, payload: bytes, not_before_ms: int) -> None:
    origin = output.origin
    record.actions.add(
        rule_id=output.rule_id,
        action_id=output.action_id,
        attempts=output.attempts,
        message_id=origin.message_id,
        product_key=origin.product_key,
        device_name=origin.device_name,
        topic=origin.topic,
        body=body,
        last_error=output.last_error,
        not_before_ms=not_before_ms,
        first_failed_ms=output.first_failed_ms,
        hops=origin.hops,
        traceparent=origin.traceparent,
        received_ms=origin.received_ms,
        qos=origin.qos,
        payload=payload,
    )
