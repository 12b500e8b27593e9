"""Message ids: positive 63-bit integers that rise (invariants §3).

    | 41 bits: milliseconds since 2020-01-01 UTC | 10 bits: worker | 12 bits: counter |

A worker id is leased, so two processes never share one. When the clock goes back, or more than 4,096 ids are asked for
in a millisecond, the time part runs on by itself and the clock catches up later: ids of one worker always rise.
A derived id is a hash of parent and stage, so that a redelivered message derives the same id again.
"""

from collections.abc import Callable
from hashlib import blake2b

EPOCH_MS = 1_577_836_800_000
WORKER_BITS = 10
COUNTER_BITS = 12
MAX_WORKER = (1 << WORKER_BITS) - 1
_TIME_MASK = (1 << 41) - 1
_POSITIVE = (1 << 63) - 1


class MessageIds:
    """Makes ids for one worker. `clock_ms` gives epoch milliseconds and may step back."""

    def __init__(self, worker: int, clock_ms: Callable[[], int]) -> None:
        if not 0 <= worker <= MAX_WORKER:
            raise ValueError(f"worker {worker} is not in 0..{MAX_WORKER}")
        self._worker = worker
        self._clock_ms = clock_ms
        self._tick = 0

    def next(self) -> int:
        # `_tick` is time and counter in one number: adding one carries from the counter into the time.
        now = (self._clock_ms() - EPOCH_MS) << COUNTER_BITS
        self._tick = max(now, self._tick + 1)
        time, counter = self._tick >> COUNTER_BITS, self._tick & ((1 << COUNTER_BITS) - 1)
        return (time & _TIME_MASK) << (WORKER_BITS + COUNTER_BITS) | self._worker << COUNTER_BITS | counter


def worker_of(message_id: int) -> int:
    """Worker id inside an id that `MessageIds` (or the gateway's core) made."""
    return message_id >> COUNTER_BITS & MAX_WORKER


def time_of(message_id: int) -> int:
    """Epoch milliseconds inside an id that was not derived."""
    return (message_id >> (WORKER_BITS + COUNTER_BITS)) + EPOCH_MS


def derive(parent: int, stage: str) -> int:
    """Id of what `stage` makes of the message `parent`: the same for the same pair, positive, 63 bits."""
    digest = blake2b(parent.to_bytes(8, "big") + stage.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") & _POSITIVE or 1
