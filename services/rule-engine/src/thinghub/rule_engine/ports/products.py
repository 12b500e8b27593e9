"""Whose a product is: rules read and write only products of their own instance."""

from collections.abc import Mapping, Sequence
from typing import Protocol


class Products(Protocol):
    async def instances(self, product_keys: Sequence[str]) -> Mapping[str, str]:
        """The instance of each product that exists; the others are absent. Raises a Fault when they cannot be asked
        for."""
