"""What a gateway without a lease left behind, and what becomes of claims that their own gateway makes once more."""

from dataclasses import dataclass
from enum import Enum

from thinghub.connection_gateway.domain.device import Device


@dataclass(frozen=True, slots=True)
class Expired:
    """The claim of a dead gateway, gone now. `epoch` is that of the session that ended; `since_ms` when it began."""

    device: Device
    epoch: int
    iot_id: str
    client: str
    since_ms: int


class Stand(Enum):
    """What a gateway found of a session that it holds."""

    # The claim is there.
    HELD = "held"
    # It was lost, and is there again.
    SET = "set"
    # Others had expired it and said that the device is offline; there is a new claim, with a new epoch.
    RENEWED = "renewed"
    # The device has a newer claim, here or elsewhere.
    NEWER = "newer"
    # The device may not be connected.
    BARRED = "barred"


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """`epoch` is the claim's, for HELD, SET and RENEWED."""

    stand: Stand
    epoch: int = 0
