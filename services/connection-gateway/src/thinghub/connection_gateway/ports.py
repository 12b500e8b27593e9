"""What the gateway needs from the outside, in its own words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from thinghub.connection_gateway.domain.claims import Claim, Claimed, Released, Wanted
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.estates import Expired, Reclaimed
from thinghub.connection_gateway.domain.kept import Change, Kept
from thinghub.connection_gateway.domain.live import Live
from thinghub.connection_gateway.domain.outbox import Missed, Place, Taken
from thinghub.connection_gateway.domain.outbox import Wanted as QueueWanted
from thinghub.connection_gateway.domain.outcomes import Downlink, Outcome
from thinghub.connection_gateway.domain.rrpc import Answer
from thinghub.connection_gateway.domain.sessions import Session
from thinghub.connection_gateway.domain.verdicts import Verdict
from thinghub.device_protocol.connect import Signed


@dataclass(frozen=True, slots=True)
class Authenticated:
    verdict: Verdict
    iot_id: str = ""
    version: int = 0


class Authenticator(Protocol):
    async def authenticate(self, claims: Sequence[Signed]) -> list[Authenticated]:
        """One a claim, in order. Raises Unavailable."""


class Topology(Protocol):
    async def held(self, gateway: Device, devices: Sequence[Device]) -> list[bool]:
        """Whether each is a sub-device of this gateway, in order. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class TopicClass:
    filter: str
    publish: bool
    subscribe: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """Messages and bytes a second; see the core's Limits."""

    enforce: bool
    up_qos0_per_second: int
    up_qos1_per_second: int
    down_per_second: int
    bytes_per_second: int
    subscriptions: int
    drop_qos1: bool


@dataclass(frozen=True, slots=True)
class ProductPolicy:
    product_key: str
    version: int
    limits: Limits
    classes: tuple[TopicClass, ...] = field(default=())


class PolicySource(Protocol):
    async def policies(self, product_keys: Sequence[str]) -> list[ProductPolicy | None]:
        """One a product, in order; None when there is no such product. Raises Unavailable."""


class Claims(Protocol):
    """Who is connected where. Every method raises ClaimsUnavailable; a batch is all or nothing to its caller."""

    async def index(self, devices: Sequence[Device]) -> None:
        """Notes that this gateway is about to claim the devices."""

    async def unindex(self, devices: Sequence[Device]) -> None: ...

    async def claim(self, wanted: Sequence[Wanted]) -> list[Claimed]:
        """One a wish, in order; the same device may come twice."""

    async def release(self, claims: Sequence[tuple[Device, int, int]]) -> list[Released]:
        """Frees own claims of exactly these epochs: (device, epoch, connection). Epoch 0 stands for a claim whose
        answer was lost: whatever that connection claimed."""

    async def find(self, devices: Sequence[Device]) -> list[Claim | None]: ...

    async def bar(self, seconds: Sequence[tuple[Device, int]]) -> None:
        """Refuses the devices' claims for so many seconds; negative lifts it."""

    async def alive(self, gateways: Sequence[str]) -> list[bool]:
        """Whether each incarnation holds its lease."""

    async def worker_address(self, worker: int) -> str:
        """RPC address of the gateway that holds this worker id; "" when nobody does."""


@dataclass(frozen=True, slots=True)
class Put:
    """`place` None: it may not be stored. The owner is who held the device's claim at that moment; "" for nobody."""

    place: Place | None
    gateway: str = ""
    address: str = ""
    epoch: int = 0


class Queues(Protocol):
    """What persistent sessions keep. `kept`, `renew` and `forget` raise QueueUnavailable; the others say of each device
    whether it could be done, so that one whose store is away does not keep the others waiting."""

    async def kept(self, devices: Sequence[Device]) -> list[Kept | None]:
        """One a device, in order; None without a persistent session."""

    async def put(self, messages: Sequence[Downlink]) -> list[Put | None]:
        """Stores them behind what is there and says who owns the session, in one step; None: it keeps nothing."""

    async def take(self, wanted: Sequence[QueueWanted]) -> list[Taken | Missed]:
        """Messages for own sessions, noted as sent."""

    async def drop(self, sequences: Sequence[tuple[Device, Sequence[int]]]) -> list[bool]:
        """Whether they are deleted, one a device; unknown ones are as good as deleted."""

    async def change(self, changes: Sequence[Change]) -> list[bool]:
        """Whether each change of an own session's subscriptions is stored; those of one device in order."""

    async def renew(self, sessions: Sequence[tuple[Device, int]]) -> list[int]:
        """Has what own sessions (device, epoch) keep live its whole time from now; each one's newest sequence, 0 for
        an empty queue, -1 where nothing is kept any more."""

    async def forget(self, devices: Sequence[Device]) -> None:
        """Ends their persistent sessions."""


class Estates(Protocol):
    """Gateways that died, and what they left. Every method raises ClaimsUnavailable, and may be repeated."""

    async def dead(self) -> list[str]:
        """Incarnations that were started, were not stopped in order, and have no lease."""

    async def lock(self, gateway: str) -> bool:
        """Whether this gateway is still dead and its sessions are ours to expire, for some seconds from now."""

    async def unlock(self, gateway: str) -> None: ...

    async def page(self, gateway: str, cursor: int) -> tuple[int, list[Device]]:
        """Some devices of its index, and where the next page begins; 0 is the beginning, and the end. What was there
        the whole time comes at least once."""

    async def expire(self, gateway: str, devices: Sequence[Device]) -> list[Expired]:
        """Ends the claims that are still this gateway's; says again those that were ended and are still indexed."""

    async def forget(self, gateway: str, devices: Sequence[Device]) -> None:
        """Takes them from its index."""

    async def strike(self, gateway: str) -> None:
        """Takes it from the list of gateways, if it is dead and its index is empty."""


class Reclaims(Protocol):
    """This gateway's own claims, made once more. Every method raises ClaimsUnavailable, and may be repeated."""

    async def expiring(self) -> bool:
        """Whether another one is expiring our sessions at this moment."""

    async def reclaim(self, sessions: Sequence[Session]) -> list[Reclaimed]:
        """One a session, in order."""


@dataclass(frozen=True, slots=True)
class KickTarget:
    """`max_epoch` 0: whatever session there is."""

    device: Device
    max_epoch: int = 0
    reason: str = "kicked"
    bar_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """An RRPC response as it came from a device."""

    message_id: int
    device: Device
    payload: bytes


class Peers(Protocol):
    """Other gateways, by address. Every method raises PeerUnavailable; what it asks concerns own sessions of the
    peer."""

    async def deliver(self, address: str, messages: Sequence[Downlink], wait_ms: int) -> list[Outcome]: ...

    async def request(self, address: str, device: Device, payload: bytes, topic: str, timeout_ms: int) -> Answer: ...

    async def kick(self, address: str, targets: Sequence[KickTarget], deadline: float) -> list[bool]: ...

    async def respond(self, address: str, responses: Sequence[Response]) -> None: ...

    async def inspect(self, address: str, devices: Sequence[Device]) -> list[Live | None]:
        """What the peer counts of its sessions, one a device; None without a session there."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A downlink for one connected session. `token` names it in the outcome."""

    token: int
    handle: int
    topic: str
    payload: bytes
    qos: int
    must_subscribe: bool
    dup: bool = False


class Connections(Protocol):
    """The connection plane. Nothing here waits."""

    def accept(self, sessions: Sequence[Session]) -> list[int]:
        """Handles, in order; 0 where the connection is gone."""

    def attach(self, sessions: Sequence[Session]) -> list[int]:
        """Begins sub-devices' sessions on their parents' connections: handles, in order; 0 where the parent is gone."""

    def reject(self, refusals: Sequence[tuple[int, int, str]]) -> None:
        """(connection, CONNACK code, reason)."""

    def close(self, sessions: Sequence[tuple[int, str]]) -> None:
        """(handle, reason)."""

    def deliver(self, messages: Sequence[Pushed]) -> None: ...

    def confirm_subscriptions(self, tokens: Sequence[int]) -> None:
        """These changes of subscriptions are stored; their devices hear it."""

    def fail_subscriptions(self, tokens: Sequence[int]) -> None:
        """They are not: their connections are closed."""

    def policy_version(self, product_key: str) -> int:
        """Version held; 0 when none."""

    def set_policy(self, policy: ProductPolicy) -> None: ...

    def drop_policy(self, product_key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """A device came online or went offline; times are epoch milliseconds."""

    session: Session
    online: bool
    time_ms: int
    last_ms: int


class StatusEvents(Protocol):
    async def emit(self, events: Sequence[StatusEvent]) -> None:
        """Queues events in order; waits while the queue is full."""


class DurableStatusEvents(Protocol):
    async def tell(self, events: Sequence[StatusEvent]) -> None:
        """Returns when they are on the bus, behind what was emitted before."""


class FinishedRecord(Protocol):
    """A bus record that the connection plane packed; see the core's Record."""

    @property
    def record_id(self) -> int: ...
    @property
    def stream(self) -> int: ...
    @property
    def partition(self) -> int: ...
    @property
    def value(self) -> bytes: ...
    @property
    def samples(self) -> Sequence["Sample"]: ...


class Sample(Protocol):
    """A message of a record that is traced."""

    @property
    def traceparent(self) -> str: ...
    @property
    def received_ms(self) -> int: ...
    @property
    def topic(self) -> str: ...


class RecordKeeper(Protocol):
    """Who waits for records to be durable; callable from any thread."""

    def commit(self, record_ids: list[int]) -> None: ...

    def fail(self, record_ids: list[int]) -> None: ...


# Counts one event under a name, for metrics.
Count = Callable[[str], None]
