"""Product secrets."""

from collections.abc import Sequence

from thinghub.auth.domain.devices import check_secret, generate_secret
from thinghub.auth.domain.products import check_product_key, place
from thinghub.auth.domain.sealing import KeyRing
from thinghub.auth.errors import RequestInvalid
from thinghub.auth.ports.stores import ProductSecrets

MAX_BATCH = 500


class Products:
    def __init__(self, store: ProductSecrets, ring: KeyRing) -> None:
        self._store = store
        self._ring = ring

    async def put(self, product_key: str, secret: str) -> str:
        """The secret in force: the given one; without one the existing one, else one generated."""
        check_product_key(product_key)
        check_secret(secret)
        sealed = self._ring.seal(secret or generate_secret(), place(product_key))
        return self._ring.open(await self._store.put(product_key, sealed, keep=not secret), place(product_key))

    async def secrets(self, product_keys: Sequence[str]) -> list[str]:
        """One a product, in order; empty when unknown."""
        if len(product_keys) > MAX_BATCH:
            raise RequestInvalid(f"a batch has at most {MAX_BATCH} entries")
        for product_key in product_keys:
            check_product_key(product_key)
        stored = await self._store.find(product_keys)
        return [self._ring.open(stored[key], place(key)) if key in stored else "" for key in product_keys]

    async def delete(self, product_key: str) -> None:
        check_product_key(product_key)
        await self._store.delete(product_key)
