"""The circuit before a sink: closed while it works, open after it was found away, then one probe at a time.

No clock inside: `now` is monotonic seconds.
"""

from enum import Enum


class State(Enum):
    CLOSED = "ok"
    PROBING = "retrying"
    OPEN = "open"


class Breaker:
    def __init__(self, first_s: float = 1.0, most_s: float = 30.0) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._delay_s = first_s
        self._probe_at = 0.0
        self.state = State.CLOSED
        self.why = ""

    def admits(self, now: float) -> bool:
        """Whether something may be tried. When the pause is over one try is let through as a probe; the next one after
        another pause, should the first never say what became of it."""
        if self.state is State.CLOSED:
            return True
        if now < self._probe_at:
            return False
        self.state, self._probe_at = State.PROBING, now + self._delay_s
        return True

    def succeeded(self) -> None:
        self.state, self.why, self._delay_s = State.CLOSED, "", self._first_s

    def failed(self, now: float, why: str) -> None:
        """Opens for the pause, which doubles with every probe that fails."""
        if self.state is not State.OPEN:
            self._probe_at = now + self._delay_s
            self._delay_s = min(self._delay_s * 2, self._most_s)
        self.state, self.why = State.OPEN, why
