"""Requests a second of one device: at most so many are served; or all, and the rest is counted (observe)."""

from thinghub.shadow.domain.document_fold import Place

MAX_DEVICES = 100_000


class RequestRates:
    """The second is that of the gateway that received the request, so catching up after an outage refuses nothing that
    came at its time. A request that comes again is not counted again."""

    def __init__(self, per_second: int, enforce: bool) -> None:
        self._per_second = per_second
        self.enforce = enforce
        self._seen: dict[tuple[str, str], tuple[int, int, Place]] = {}

    def over(self, device: tuple[str, str], received_ms: int, place: Place) -> bool:
        """Counts the request; whether it is over the limit."""
        if not self._per_second:
            return False
        second = received_ms // 1000
        held_second, count, last = self._seen.get(device, (second, 0, (0, 0)))
        if place <= last:
            return False
        count = count + 1 if second == held_second else 1
        if device not in self._seen and len(self._seen) >= MAX_DEVICES:
            self._make_room(second)
        self._seen[device] = (second, count, place)
        return count > self._per_second

    def _make_room(self, second: int) -> None:
        """Forgets who asked nothing this second; when that is nobody, everybody."""
        recent = {device: seen for device, seen in self._seen.items() if seen[0] >= second}
        self._seen = recent if len(recent) < MAX_DEVICES // 2 else {}
