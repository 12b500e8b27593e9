"""Rotation of a device's secret: for a time the new one and the former one are both good.

started ──── both good ──── former_until ──── only the new one
                └ adopted: the device's first proof by the new secret
"""

from dataclasses import dataclass

from thinghub.auth.domain.sealing import Sealed
from thinghub.auth.errors import RequestInvalid

DAY_MS = 24 * 3600 * 1000
MAX_OVERLAP_MS = 90 * DAY_MS


@dataclass(frozen=True, slots=True)
class Rotation:
    """Times are epoch milliseconds. `former` is the sealed former secret while it is kept; `adopted_ms` is 0 until the
    device has proved itself by the new one."""

    started_ms: int
    former_until_ms: int
    adopted_ms: int
    former: Sealed | None

    def under_way(self, now_ms: int) -> bool:
        return self.former is not None and now_ms < self.former_until_ms


def check_overlap(overlap_ms: int) -> None:
    if not 0 <= overlap_ms <= MAX_OVERLAP_MS:
        raise RequestInvalid(f"two secrets are good together for at most {MAX_OVERLAP_MS // DAY_MS} days")
