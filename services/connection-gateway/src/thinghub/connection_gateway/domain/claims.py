"""Claims: which gateway holds a device, and since when (invariants §1).

A claim lives in Redis under the device. Its *epoch* rises with every claim of the device, even after data loss, so of
two sessions of one device the one with the higher epoch is the newer, whoever says so and however late.
"""

from dataclasses import dataclass
from enum import Enum

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.kept import Kept


@dataclass(frozen=True, slots=True)
class Claim:
    """`gateway` is the incarnation of a gateway process, `address` where it serves RPC, `connection` its own number of
    the connection, `client` the device's `ip:port`."""

    device: Device
    gateway: str
    address: str
    connection: int
    epoch: int
    clean: bool
    ext: int
    since_ms: int
    client: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A claim to be made; the epoch is Redis's to give. `iot_id` is for whoever reports the device offline in this
    gateway's place."""

    device: Device
    connection: int
    clean: bool
    ext: int
    since_ms: int
    client: str
    iot_id: str = ""


@dataclass(frozen=True, slots=True)
class Previous:
    """The claim that a new one replaced."""

    gateway: str
    address: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """`barred`: a tombstone refuses the device; then there is no claim. `kept` is what a persistent session had before;
    None for a clean one, which wiped it."""

    barred: bool
    epoch: int = 0
    previous: Previous | None = None
    kept: Kept | None = None


class Released(Enum):
    """What a release found."""

    # Our claim was there, and is gone.
    FREED = "freed"
    # There was no claim at all.
    ABSENT = "absent"
    # A newer claim is there and stays.
    TAKEN_OVER = "taken_over"
