"""What the documents need: a store with compare-and-set, and a way to devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from thinghub.shadow.domain.document_fold import Held


class Device(NamedTuple):
    product_key: str
    device_name: str


@dataclass(frozen=True, slots=True)
class Write:
    """`held` replaces the document that has revision `expected`. `state` is `held.shadow`'s as JSON. `again`: it is
    there already and only has to be known to be durable."""

    device: Device
    expected: int
    held: Held
    state: bytes
    again: bool = False


class Written(Enum):
    DONE = "done"
    # Another writer was there first; or the store has a newer place. Nothing was written.
    CONFLICT = "conflict"
    # Written, but a failover may lose it; or the store refuses this one document. No success may be told.
    UNCONFIRMED = "unconfirmed"


class DocumentStore(Protocol):
    """Every method raises StoreUnavailable; then nothing is known of the whole batch."""

    async def read(self, devices: Sequence[Device]) -> Sequence[Held]:
        """One a device, in order; a device without a document has the empty one."""

    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        """One a write, in order; every write of a device of its own."""

    async def forget(self, deleted: Sequence[tuple[Device, int]]) -> None:
        """Empties the documents of deleted devices, unless they were written by a session that began after the time
        given (epoch milliseconds). Their places are kept for a while, so that nothing late comes back."""


class Downlink(NamedTuple):
    """`origin` and `handle` name the connection to prefer; empty and 0 for a message that answers nothing."""

    device: Device
    payload: bytes
    message_id: int
    origin: str = ""
    handle: int = 0


class Downlinks(Protocol):
    async def deliver(self, messages: Sequence[Downlink]) -> Mapping[str, int]:
        """To each device's `/shadow/get`, QoS 1; how many had which outcome. Raises Fault when no gateway took it."""
