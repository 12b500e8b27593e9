"""When a gateway may be taken for dead (invariants §1).

A lease that is over proves only that it was not renewed. While Redis restarts, fails over or hangs, nobody renews; a
gateway that was frozen itself cannot tell what happened meanwhile. So whoever looks keeps a vigil: after anything of
the kind, and after its own start, it takes nobody for dead for two lease times, in which everybody alive has renewed.
"""


class Vigil:
    """Times are seconds of a steady clock."""

    def __init__(self, lease_seconds: float, now: float) -> None:
        self._lease = lease_seconds
        self._servers: frozenset[str] | None = None
        self._seen_at = now
        self._missed = False
        self._calm_from = now + 2 * lease_seconds

    def saw(self, servers: frozenset[str], now: float) -> bool:
        """Redis answered, and these are its servers. True when something happened since the last look, so that what is
        stored there may have been lost."""
        changed = self._servers is not None and servers != self._servers
        disturbed = changed or self._missed or self._blind(now)
        self._servers, self._seen_at, self._missed = servers, now, False
        if disturbed:
            self._calm_from = now + 2 * self._lease
        return disturbed

    def missed(self) -> None:
        """Redis did not answer."""
        self._missed = True

    def trusts(self, now: float) -> bool:
        """Whether a lease that is over means a dead gateway."""
        return not self._missed and not self._blind(now) and now >= self._calm_from

    def _blind(self, now: float) -> bool:
        return now - self._seen_at > self._lease / 2
