"""What a rule made of one message for one action, on its way to a sink or waiting for another try.

Named tuples, because one is made per message and action: they cost a fifth of a frozen dataclass.
"""

from typing import NamedTuple

from thinghub.device_protocol import message_ids

# Ids that are not this near to the receive time are derived ones: their order means nothing.
_PLAUSIBLE_MS = 3_600_000
_BELOW_TIME = message_ids.WORKER_BITS + message_ids.COUNTER_BITS


class Origin(NamedTuple):
    """The message a rule took."""

    message_id: int
    product_key: str
    device_name: str
    topic: str
    received_ms: int
    qos: int = 0
    hops: int = 0
    traceparent: str = ""


class Output(NamedTuple):
    """`attempts` counts tries the sink has refused, `first_failed_ms` is 0 before the first. `payload` is the message's
    own, kept where the rule has an error action; `cause` is the action whose failure this output tells of."""

    rule_id: int
    action_id: int
    origin: Origin
    result: dict[str, object]
    attempts: int = 0
    first_failed_ms: int = 0
    last_error: str = ""
    payload: bytes = b""
    cause: int = 0


def derived_id(output: Output) -> int:
    """Id of this output: the same when the message is delivered again."""
    stage = f"rule/{output.rule_id}/{output.action_id}"
    return message_ids.derive(output.origin.message_id, f"{stage}/{output.cause}" if output.cause else stage)


def order_of(origin: Origin) -> int:
    """A number that rises with the messages of a device: the message id, or for an id that was derived (a
    republished message) one built like an id from the receive time."""
    if abs(message_ids.time_of(origin.message_id) - origin.received_ms) < _PLAUSIBLE_MS:
        return origin.message_id
    low = origin.message_id & ((1 << _BELOW_TIME) - 1)
    return max(origin.received_ms - message_ids.EPOCH_MS, 0) << _BELOW_TIME | low
