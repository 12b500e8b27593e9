"""An output as a CloudEvents 1.0 message over HTTP, in binary mode: attributes in headers, the result is the body.

The id is the derived message id, the same whenever the output is delivered again: a key for idempotent functions.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from thinghub.rule_engine.domain.outputs import Output, derived_id

TYPE = "thinghub.rule.output"
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
# What an attribute keeps as it is in a header (HTTP binding 3.1.3.2): printable ASCII but space, quote and percent.
_KEPT = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def headers(output: Output) -> list[tuple[str, str]]:
    origin = output.origin
    received = _UNIX + timedelta(milliseconds=origin.received_ms)
    found = [
        ("Content-Type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", str(derived_id(output))),
        ("ce-type", TYPE),
        ("ce-source", quote(origin.topic, safe=_KEPT)),
        ("ce-subject", quote(f"{origin.product_key}/{origin.device_name}", safe=_KEPT)),
        ("ce-time", received.isoformat(timespec="milliseconds").replace("+00:00", "Z")),
    ]
    if origin.traceparent:
        found += [("ce-traceparent", origin.traceparent), ("traceparent", origin.traceparent)]
    return found


def signature(key: str, body: bytes, now_s: int) -> list[tuple[str, str]]:
    """HMAC-SHA256 of the time in seconds, a dot and the body; the time lets a function refuse what is old."""
    signed = hmac.new(key.encode(), b"%d." % now_s + body, hashlib.sha256).hexdigest()
    return [("Thinghub-Timestamp", str(now_s)), ("Thinghub-Signature", f"sha256={signed}")]
