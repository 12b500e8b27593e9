"""Named secrets, which `*_ref` members of configurations point to."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Secret:
    value: str = field(repr=False)
    version: int


class Secrets(Protocol):
    async def resolve(self, instance_id: str, name: str) -> Secret | None:
        """None when there is no such secret. Raises Unavailable."""
