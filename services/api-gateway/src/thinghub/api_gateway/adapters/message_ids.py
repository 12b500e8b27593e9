"""Message ids from the worker id that this process holds."""

from collections.abc import Callable

from thinghub.common.redis.workers import WorkerLease
from thinghub.device_protocol.message_ids import MessageIds


class LeasedMessageIds:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(self, lease: WorkerLease, clock_ms: Callable[[], int]) -> None:
        self._lease = lease
        self._clock_ms = clock_ms
        self._worker = -1
        self._ids = MessageIds(0, clock_ms)

    def next(self) -> int:
        """Raises NoWorkerId, which is Unavailable."""
        worker = self._lease.current()
        if worker != self._worker:
            self._worker, self._ids = worker, MessageIds(worker, self._clock_ms)
        return self._ids.next()
