"""Documents as this process wrote them last, so that most updates need no read.

A remembered document may be out of date: whatever is made from it is written by compare-and-set, which then fails, and
the document is read. So it serves only where a write follows.
"""

from thinghub.shadow.domain.document_fold import Held
from thinghub.shadow.ports.documents import Device


class RecentDocuments:
    """Bounded by the bytes of the documents as JSON; the one written longest ago goes first."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._size = 0
        self._held: dict[Device, tuple[Held, int]] = {}

    def get(self, device: Device) -> Held | None:
        found = self._held.get(device)
        return found[0] if found else None

    def put(self, device: Device, held: Held, size: int) -> None:
        self.drop(device)
        self._held[device] = (held, size)
        self._size += size
        while self._size > self._most:
            self.drop(next(iter(self._held)))

    def drop(self, device: Device) -> None:
        found = self._held.pop(device, None)
        if found:
            self._size -= found[1]
