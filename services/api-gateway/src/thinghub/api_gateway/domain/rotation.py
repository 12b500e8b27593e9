"""A device's secret on its way from one value to the next."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SecretRotation:
    """Times are epoch milliseconds. `started_ms` 0: the secret was never rotated; `adopted_ms` 0: the device has not
    used the new one yet."""

    started_ms: int
    former_until_ms: int
    adopted_ms: int
    under_way: bool
