"""The sweep: where the status projection and the claims of sessions disagree, and what is right.

Events make the projection; each is told at least once, but a disaster may lose one (a bus restored from a copy, Redis
without its data), and nothing would ever correct it. The claims are the truth of the moment, so both are compared:

    projected online, no claim                     offline, of the epoch that was projected
    a claim with a higher epoch                    online, of that epoch: an event was lost
    projected offline, a claim of the same epoch   online again: whoever said offline was wrong
    a claim with a lower epoch                     nothing: the claim is the one that lags

An event may be on its way while both are read, so only what disagrees twice, some time apart, is repaired, and only a
row that nothing else has changed meanwhile.
"""

from dataclasses import dataclass

from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.status import StatusChange


@dataclass(frozen=True, slots=True)
class Projected:
    device: DeviceId
    online: bool
    epoch: int


@dataclass(frozen=True, slots=True)
class Held:
    """The claim of a device's session."""

    epoch: int
    since_ms: int
    client_address: str


@dataclass(frozen=True, slots=True)
class Repair:
    """What a row becomes, if it still is as it was read."""

    was: Projected
    change: StatusChange


def repair(row: Projected, held: Held | None) -> Repair | None:
    """None when they agree."""
    if held is None:
        return Repair(row, StatusChange(row.device, False, row.epoch, 0, "")) if row.online else None
    if held.epoch > row.epoch or (held.epoch == row.epoch and not row.online):
        return Repair(row, StatusChange(row.device, True, held.epoch, held.since_ms, held.client_address))
    return None
