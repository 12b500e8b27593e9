"""The queue of one connected persistent session, as its gateway pushes it (invariants §4).

    stored ──take──> taken ──handed to the connection──> in flight ──PUBACK──> deleted
                       ^                                     │
                       └──────── refused for the moment ─────┘

Messages have rising sequences. They are handed over in that order, a window of them at a time; while it is not known
whether the last ones handed over were refused, no others follow, so that none overtakes another. What was sent on an
earlier connection, or may have been, is sent again from the head with DUP.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from thinghub.connection_gateway.domain.device import Device

# More than any sequence: it is not known what is stored.
UNKNOWN = 1 << 62


@dataclass(frozen=True, slots=True)
class Stored:
    """A message of a queue. `dup`: it may have reached the device before."""

    sequence: int
    topic: str
    payload: bytes
    must_subscribe: bool
    dup: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message was put. `displaced` older ones gave way to it, `expired` ones were cleared away."""

    sequence: int
    displaced: int
    expired: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to take of a queue: at most so many messages and bytes after a sequence."""

    device: Device
    epoch: int
    after: int
    count: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Taken:
    """`upto` is the sequence up to which the queue was looked at, `last` the newest it ever had."""

    messages: Sequence[Stored]
    expired: Sequence[int]
    upto: int
    last: int


class Missed(Enum):
    """Why nothing could be taken."""

    # Another claim holds the device, or none does.
    NOT_OURS = "not_ours"
    # The store of this device does not answer, or refuses.
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Window:
    """What may be under way to one device without its PUBACK."""

    messages: int = 50
    bytes: int = 256 * 1024


class Outbox:
    """Of one session: a new epoch is a new outbox and begins at the head."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._upto = 0
        self._last = UNKNOWN
        self._flight: dict[int, int] = {}
        self._refused: list[Stored] = []
        self._ready: deque[Stored] = deque()

    def heard(self, sequence: int) -> None:
        """The queue has a message of this sequence."""
        self._last = max(self._last, sequence) if self._last != UNKNOWN else UNKNOWN

    def settled(self, sequence: int) -> bool:
        """Whether nothing is to be done for the message any more."""
        waiting = any(one.sequence == sequence for one in (*self._ready, *self._refused))
        return sequence <= self._upto and sequence not in self._flight and not waiting

    @property
    def in_flight(self) -> int:
        return len(self._flight)

    @property
    def room(self) -> int:
        """Messages that may still be taken."""
        return max(self._window.messages - len(self._flight) - len(self._ready) - len(self._refused), 0)

    @property
    def bytes_left(self) -> int:
        under_way = sum(self._flight.values()) + sum(len(one.payload) for one in (*self._ready, *self._refused))
        return max(self._window.bytes - under_way, 0)

    @property
    def behind(self) -> bool:
        """The queue has more, and there is room for it."""
        room = self.room and (self.bytes_left or not self._flight)
        return bool(room) and self._upto < self._last and not self._ready and not self._refused

    def wish(self, device: Device, epoch: int) -> Wanted:
        return Wanted(device, epoch, self._upto, self.room, max(self.bytes_left, 1))

    def took(self, taken: Taken) -> None:
        self._ready.extend(taken.messages)
        self._upto, self._last = taken.upto, max(taken.last, taken.upto)

    def hand_over(self) -> list[Stored]:
        """The next messages for the connection, in order; they are in flight from now on."""
        messages = list(self._ready)
        self._ready.clear()
        self._flight.update((one.sequence, len(one.payload)) for one in messages)
        return messages

    def done(self, sequence: int) -> None:
        """The device has it, or will never get it."""
        self._flight.pop(sequence, None)

    def refused(self, message: Stored) -> None:
        """The connection takes no more for the moment."""
        if self._flight.pop(message.sequence, None) is not None:
            self._refused.append(message)

    @property
    def held_back(self) -> bool:
        """Something was refused."""
        return bool(self._refused)

    def again(self) -> None:
        """Puts what was refused back to the front, in order."""
        self._ready.extendleft(sorted(self._refused, key=lambda one: -one.sequence))
        self._refused.clear()
