"""The SDK's settings, with their defaults and their limits in one place."""

from dataclasses import dataclass, field

from thinghub.device_protocol.signing import SignMethod
from thinghub.device_protocol.topics import EXT_RRPC
from thinghub.device_sdk.backoff import Backoff

KEEP_ALIVE = range(30, 1201)  # the platform refuses others (device-mqtt §1.3)


@dataclass(frozen=True, slots=True)
class Options:
    """Times in seconds.

    `connect_deadline` bounds entering the context manager, attempts and waits together; `attempt_deadline` one attempt
    from socket to CONNACK; `deadline` is what a call gets that names none. A connection that lasted `stable` seconds
    forgets the attempts before it, so that one that is always cut at once keeps backing off.
    `in_flight` publishes await their acknowledgement at a time and `waiting` more may wait for their turn.
    `inbox` messages wait for a handler: a QoS 1 message beyond it waits unacknowledged, a QoS 0 message is dropped and
    counted. `logins_per_second` paces the log-ins of a gateway's sub-devices. `clean_session` is the CONNECT's flag;
    subscriptions are made again at every connection in any case.
    """

    sign_method: SignMethod = SignMethod.HMAC_SHA256
    clean_session: bool = True
    keep_alive: int = 60
    connect_deadline: float = 30.0
    attempt_deadline: float = 10.0
    deadline: float = 10.0
    stable: float = 30.0
    backoff: Backoff = field(default_factory=Backoff)
    in_flight: int = 100
    waiting: int = 1000
    inbox: int = 1000
    handler_deadline: float = 60.0
    ext: int = EXT_RRPC
    logins_per_second: float = 200.0  # the platform's own limit (device-mqtt §1.4)

    def __post_init__(self) -> None:
        if self.keep_alive not in KEEP_ALIVE:
            raise ValueError("keep_alive is 30 to 1200 seconds")
        if min(self.in_flight, self.waiting, self.inbox) < 1:
            raise ValueError("in_flight, waiting and inbox are 1 or more")
        if self.logins_per_second <= 0:
            raise ValueError("logins_per_second is more than 0")
