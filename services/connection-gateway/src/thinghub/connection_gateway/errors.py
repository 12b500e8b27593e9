"""Faults of the connection gateway. What became of a message is an outcome, not a fault."""

from thinghub.common.errors import InvalidArgument, ResourceExhausted, Unavailable


class ClaimsUnavailable(Unavailable):
    """Redis cannot be read or written: who is connected where is not known now."""

    reason = "claims_unavailable"


class QueueUnavailable(Unavailable):
    """Redis cannot be read or written: what persistent sessions keep is not known now."""

    reason = "queue_unavailable"


class PeerUnavailable(Unavailable):
    """Another gateway did not answer in time."""

    reason = "peer_unavailable"


class DeviceMissing(InvalidArgument):
    """A message, request or target names no device."""

    reason = "device_invalid"


class TooManyDevices(InvalidArgument):
    """More devices are asked for in one call than it takes."""

    reason = "too_many_devices"


class BroadcastTooOften(ResourceExhausted):
    """The product had a broadcast of this kind a moment ago, or this gateway has too many under way."""

    reason = "broadcast_too_often"


class BroadcastInvalid(InvalidArgument):
    reason = "broadcast_invalid"


class WorkerIdLost(Unavailable):
    """Another process holds this gateway's worker id: its core must make no more message ids."""

    reason = "worker_id_lost"
