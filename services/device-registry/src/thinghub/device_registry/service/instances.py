"""Instances: the tenants. The default one, with the empty id, always exists."""

from collections.abc import Callable, Sequence

from thinghub.device_registry.domain.names import check_instance_id, check_text, generate_instance_id
from thinghub.device_registry.domain.paging import page_limit
from thinghub.device_registry.domain.products import Instance
from thinghub.device_registry.ports.store import Store


class Instances:
    def __init__(self, store: Store, clock_ms: Callable[[], int]) -> None:
        self._store = store
        self._clock_ms = clock_ms

    async def create(self, instance_id: str, name: str) -> Instance:
        """Raises InstanceExists, InstanceInvalid."""
        if instance_id:
            check_instance_id(instance_id)
        check_text(name, "Name", 128)
        instance = Instance(instance_id or generate_instance_id(), name, self._clock_ms())
        await self._store.create_instance(instance)
        return instance

    async def list(self, after: str, limit: int) -> Sequence[Instance]:
        check_text(after, "after")
        return await self._store.instances(after, page_limit(limit))
