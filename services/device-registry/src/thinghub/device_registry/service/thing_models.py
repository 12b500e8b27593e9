"""Thing models: a draft that is changed, versions that are published and then never change."""

from collections.abc import Callable, Mapping, Sequence

from thinghub.device_registry.domain import thing_models as rules
from thinghub.device_registry.domain.names import check_text
from thinghub.device_registry.domain.thing_models import MAX_VERSIONS, EffectiveThingModel, ThingModelVersion
from thinghub.device_registry.errors import RequestInvalid, ThingModelLimit, ThingModelNotFound
from thinghub.device_registry.ports.thing_models import ThingModelStore
from thinghub.device_registry.service.products import Products

MAX_EFFECTIVE = 500


class ThingModels:
    """`clock_ms` gives epoch milliseconds."""

    def __init__(self, store: ThingModelStore, products: Products, clock_ms: Callable[[], int]) -> None:
        self._store = store
        self._products = products
        self._clock_ms = clock_ms

    async def import_tsl(self, instance_id: str, product_key: str, tsl: str, module: str, module_name: str) -> None:
        """Replaces the draft or one module of it. Raises ProductNotFound, ThingModelInvalid."""
        check_text(instance_id + product_key + module_name, "ProductKey")
        async with self._store.unit(instance_id, product_key) as unit:
            await unit.put_draft(rules.imported(await unit.draft(), product_key, tsl, module, module_name))

    async def add(self, instance_id: str, product_key: str, functions: str, module: str, module_name: str) -> None:
        """Adds functions to the draft. Raises ProductNotFound, ThingModelInvalid."""
        check_text(instance_id + product_key + module_name, "ProductKey")
        async with self._store.unit(instance_id, product_key) as unit:
            await unit.put_draft(rules.extended(await unit.draft(), product_key, functions, module, module_name))

    async def publish(
        self, instance_id: str, product_key: str, model_version: str, description: str
    ) -> tuple[int, str]:
        """Makes the draft effective; its number and name. Raises ProductNotFound, ThingModelNotFound without a draft,
        ThingModelVersionExists."""
        check_text(instance_id + product_key, "ProductKey")
        check_text(description, "Description", 1024)
        rules.check_model_version(model_version)
        now = self._clock_ms()
        named = model_version or str(now)
        async with self._store.unit(instance_id, product_key) as unit:
            draft = await unit.draft()
            if not draft:
                raise ThingModelNotFound("the product has no thing model to publish")
            if await unit.count_versions() >= MAX_VERSIONS:
                raise ThingModelLimit(f"a product has at most {MAX_VERSIONS} versions of its thing model")
            return await unit.publish(named, description, draft, now), named

    async def get(
        self, instance_id: str, product_key: str, published: bool, model_version: str, module: str, simple: bool
    ) -> str:
        """TSL. A product without a draft has an empty one. Raises ProductNotFound, ThingModelNotFound."""
        check_text(model_version + module, "ModelVersion")
        await self._products.get(instance_id, product_key)
        if not published and not model_version:
            return rules.shown(await self._store.draft(product_key), product_key, module, simple)
        tsl = await self._store.published(product_key, model_version)
        if tsl is None:
            raise ThingModelNotFound("the product has no such published thing model")
        return rules.shown(tsl, product_key, module, simple)

    async def versions(self, instance_id: str, product_key: str) -> Sequence[ThingModelVersion]:
        await self._products.get(instance_id, product_key)
        return await self._store.versions(product_key)

    async def effective(self, product_keys: Sequence[str]) -> Mapping[str, EffectiveThingModel]:
        """Of those products that exist."""
        if len(product_keys) > MAX_EFFECTIVE:
            raise RequestInvalid(f"at most {MAX_EFFECTIVE} products in one call")
        return {one.product_key: one for one in await self._store.effective(product_keys)}
