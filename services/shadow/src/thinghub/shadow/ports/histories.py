"""What histories of several properties need, and how long each product keeps its own."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from thinghub.shadow.domain.thing_posts import Item
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import Span


class PropertyHistories(Protocol):
    async def several(self, device: Device, identifiers: Sequence[str], span: Span) -> Mapping[str, Sequence[Item]]:
        """Of each at most one more than the limit, in the order asked. Raises StoreUnavailable."""


class Retentions(Protocol):
    """Raises StoreUnavailable."""

    async def days(self, product_key: str) -> int:
        """0: the product has none of its own."""

    async def keep_days(self, product_key: str, days: int) -> None:
        """0: none of its own."""
