"""Products, their limits and topic classes. Whatever changes a policy raises its version and is announced."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from thinghub.device_registry.domain.announcements import PolicyAnnounced
from thinghub.device_registry.domain.names import check_text, generate_product_key
from thinghub.device_registry.domain.paging import page_of
from thinghub.device_registry.domain.products import Limits, Product, check_limits, check_product
from thinghub.device_registry.domain.topic_classes import (
    DEFAULT_NAMES,
    MAX_CLASSES,
    TopicClass,
    check_topic_class,
    default_classes,
)
from thinghub.device_registry.errors import ProductLimit, ProductNotFound, TopicClassLimit
from thinghub.device_registry.ports.others import Credentials
from thinghub.device_registry.ports.store import CountedProduct, Store


class Products:
    """`clock_ms` gives epoch milliseconds; `per_instance` 0 is no limit."""

    def __init__(
        self, store: Store, credentials: Credentials, clock_ms: Callable[[], int], per_instance: int = 0
    ) -> None:
        self._store = store
        self._credentials = credentials
        self._clock_ms = clock_ms
        self._per_instance = per_instance

    async def create(self, product: Product, secret: str) -> tuple[Product, str]:
        """With a generated key and secret unless they are given; the product and its secret."""
        check_product(product)
        created = replace(product, key=product.key or generate_product_key(), created_ms=self._clock_ms())
        async with self._store.unit() as unit:
            if self._per_instance and await unit.count_products(created.instance_id) >= self._per_instance:
                raise ProductLimit(f"an instance has at most {self._per_instance} products")
            await unit.insert_product(created, default_classes(created.key))
            secret = await self._credentials.put_product(created.key, secret)
            await unit.announce(PolicyAnnounced(created.key))
        return created, secret

    async def get(self, instance_id: str, product_key: str) -> CountedProduct:
        """Raises ProductNotFound, also for a product of another instance."""
        check_text(instance_id + product_key, "ProductKey")
        counted = await self._store.product(instance_id, product_key)
        if counted is None:
            raise ProductNotFound("the product does not exist", product_key=product_key)
        return counted

    async def secret(self, product_key: str) -> str:
        return await self._credentials.product_secret(product_key)

    async def list(
        self, instance_id: str, commodity_code: str, page: int, page_size: int
    ) -> tuple[Sequence[CountedProduct], int]:
        check_text(instance_id + commodity_code, "AliyunCommodityCode")
        return await self._store.products(instance_id, commodity_code, page_of(page, page_size))

    async def delete(self, instance_id: str, product_key: str) -> None:
        """Raises ProductNotFound, ProductHasDevices."""
        check_text(instance_id + product_key, "ProductKey")
        async with self._store.unit() as unit:
            await unit.lock_product(instance_id, product_key)
            await unit.delete_product(product_key)
            await self._credentials.delete_product(product_key)
            await unit.announce(PolicyAnnounced(product_key))

    async def set_limits(self, instance_id: str, product_key: str, limits: Limits) -> int:
        """The version of the policy that has them."""
        check_text(instance_id + product_key, "ProductKey")
        check_limits(limits)
        async with self._store.unit() as unit:
            await unit.lock_product(instance_id, product_key)
            await unit.set_limits(product_key, limits)
            version = await unit.next_policy(product_key)
            await unit.announce(PolicyAnnounced(product_key))
        return version

    async def create_topic_class(self, instance_id: str, topic_class: TopicClass) -> int:
        """Its id. With a given id, a class that every product begins with gives way to the one that is imported. Raises
        TopicClassInvalid, TopicOperationInvalid, TopicClassExists, TopicClassLimit."""
        check_text(instance_id + topic_class.product_key, "ProductKey")
        check_topic_class(topic_class)
        async with self._store.unit() as unit:
            await unit.lock_product(instance_id, topic_class.product_key)
            if topic_class.id and topic_class.short_name in DEFAULT_NAMES:
                await unit.drop_topic_class(topic_class.product_key, topic_class.short_name)
            if await unit.count_topic_classes(topic_class.product_key) >= MAX_CLASSES:
                raise TopicClassLimit(f"a product has at most {MAX_CLASSES} topic classes")
            topic_id = await unit.insert_topic_class(topic_class)
            await unit.next_policy(topic_class.product_key)
            await unit.announce(PolicyAnnounced(topic_class.product_key))
        return topic_id

    async def topic_classes(self, instance_id: str, product_key: str) -> Sequence[TopicClass]:
        await self.get(instance_id, product_key)
        return await self._store.topic_classes(product_key)
