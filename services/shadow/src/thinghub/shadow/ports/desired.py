"""What desired properties need: a store in which a version is compared and the value set at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from thinghub.shadow.domain.desired_requests import Cleared, Wanted
from thinghub.shadow.ports.documents import Device


class Desired(NamedTuple):
    """`version` stays when the value is cleared, so that it never means two values; then `time_ms` is 0."""

    value: object
    time_ms: int
    version: int


NOTHING = Desired(None, 0, 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """A device's request and its place (epoch, sequence); (0, 0) is the platform's own and is not fenced."""

    device: Device
    what: Wanted | Cleared
    place: tuple[int, int] = (0, 0)


class DesiredStore(Protocol):
    async def set(
        self, device: Device, values: Mapping[str, object], expected: Mapping[str, int], at_ms: int
    ) -> Mapping[str, int]:
        """All of them or none; the versions they have now. Raises DesiredVersionConflict, StoreUnavailable."""

    async def get(self, device: Device, identifiers: Sequence[str]) -> Sequence[Desired]:
        """One an identifier, in order. Raises StoreUnavailable."""

    async def run(self, asked: Sequence[Asked]) -> Sequence[Mapping[str, Desired] | None]:
        """One a request, those of a device in order: what is desired of what it wanted; empty for what was cleared.
        None: it could not be read. Raises StoreUnavailable when something could not be cleared. What was cleared at
        this place or before is not cleared again."""

    async def forget(self, deleted: Sequence[tuple[Device, int]]) -> None:
        """Of devices deleted at epoch milliseconds, unless something was desired since. Raises StoreUnavailable."""
