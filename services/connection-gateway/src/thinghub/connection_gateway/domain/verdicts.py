"""What a CONNECT is answered with: one table from the reason to the CONNACK code (device-mqtt §1.3).

The reason is also the name under which the refusal is counted.
"""

from enum import StrEnum

from thinghub.device_protocol.codes import Connack


class Verdict(StrEnum):
    """What auth says of a proof."""

    OK = "ok"
    UNKNOWN_DEVICE = "unknown_device"
    BAD_SIGNATURE = "bad_signature"
    DISABLED = "disabled"
    UNAVAILABLE = "auth_unavailable"


CONNACK: dict[str, Connack] = {
    "malformed_client_id": Connack.BAD_CLIENT_ID,
    "bad_user": Connack.BAD_CREDENTIALS,
    "unknown_device": Connack.BAD_CREDENTIALS,
    "bad_signature": Connack.BAD_CREDENTIALS,
    "unknown_product": Connack.BAD_CREDENTIALS,
    "disabled": Connack.NOT_AUTHORIZED,
    # A tombstone: disabled or deleted a moment ago.
    "barred": Connack.NOT_AUTHORIZED,
    "auth_unavailable": Connack.UNAVAILABLE,
    "policy_unavailable": Connack.UNAVAILABLE,
    "claims_unavailable": Connack.UNAVAILABLE,
    "too_late": Connack.UNAVAILABLE,
    "overloaded": Connack.UNAVAILABLE,
    "stopping": Connack.UNAVAILABLE,
    "superseded": Connack.UNAVAILABLE,
    # The device's own rate, or its address's rate of failures.
    "connect_rate": Connack.UNAVAILABLE,
    "failure_rate": Connack.UNAVAILABLE,
    "internal": Connack.UNAVAILABLE,
}

# Failures that count against the source address: what a guesser would produce.
GUESSES = frozenset({"malformed_client_id", "bad_user", "unknown_device", "bad_signature", "unknown_product"})
