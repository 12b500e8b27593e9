"""The store of thing models. Every call has a deadline of its own and raises StoreUnavailable."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from thinghub.device_registry.domain.thing_models import EffectiveThingModel, ThingModelVersion


class ThingModelUnit(Protocol):
    """One transaction; nobody else changes the product's thing model meanwhile."""

    async def draft(self) -> str:
        """Empty when there is none."""

    async def put_draft(self, tsl: str) -> None: ...

    async def count_versions(self) -> int: ...

    async def publish(self, model_version: str, description: str, tsl: str, at_ms: int) -> int:
        """Its number, announced when the transaction has ended. Raises ThingModelVersionExists."""


class ThingModelStore(Protocol):
    def unit(self, instance_id: str, product_key: str) -> AbstractAsyncContextManager[ThingModelUnit]:
        """Raises ProductNotFound."""

    async def draft(self, product_key: str) -> str:
        """Empty when there is none."""

    async def published(self, product_key: str, model_version: str) -> str | None:
        """TSL of that version, of the last one for an empty name; None when there is none."""

    async def versions(self, product_key: str) -> Sequence[ThingModelVersion]:
        """Newest first."""

    async def effective(self, product_keys: Sequence[str]) -> Sequence[EffectiveThingModel]:
        """Of those products that exist."""
