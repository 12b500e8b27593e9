"""Which instance a product belongs to, remembered for a moment, so that REPUBLISH does not ask for every batch.

Creation and start of a rule always ask. At run time an answer may be five seconds old, and older while device-registry
is away; a product that was never seen is then asked for each time, and its messages wait.
"""

import logging
from collections.abc import Callable, Iterable, Mapping

from thinghub.common.errors import Fault
from thinghub.rule_engine.errors import ProductNotFound
from thinghub.rule_engine.ports.products import Products

FRESH_S = 5.0
MAX_REMEMBERED = 10_000
log = logging.getLogger("thinghub.rule_engine.ownership")


class Ownership:
    """`clock` gives seconds and never goes back. The product asked for longest ago is forgotten first."""

    def __init__(self, products: Products, clock: Callable[[], float]) -> None:
        self._products = products
        self._clock = clock
        self._known: dict[str, tuple[float, str]] = {}

    async def require(self, instance_id: str, product_key: str) -> None:
        """Raises ProductNotFound for a product that does not exist or is another instance's: a caller cannot tell
        which. Raises the fault of a registry that is away."""
        if (await self._ask([product_key])).get(product_key) != instance_id:
            raise ProductNotFound("the product does not exist", product_key=product_key)

    async def instances(self, product_keys: Iterable[str]) -> Mapping[str, str]:
        """The instance of each product that exists. Raises the fault of a registry that is away, when one of them was
        never seen."""
        wanted = dict.fromkeys(product_keys)
        now = self._clock()
        found = {key: self._known[key][1] for key in wanted if key in self._known}
        old = [key for key in wanted if key not in found or now - self._known[key][0] >= FRESH_S]
        if not old:
            return found
        try:
            answer = await self._ask(old)
        except Fault as error:
            if len(found) < len(wanted):
                raise
            log.warning("device-registry is away, products keep the instances they had: %s", error.message)
            self._remember(found)  # so that the next batch does not wait for it too
            return found
        return {key: value for key, value in found.items() if key not in old} | answer

    async def _ask(self, product_keys: list[str]) -> dict[str, str]:
        answer = dict(await self._products.instances(product_keys))
        for key in product_keys:
            self._known.pop(key, None)
        self._remember(answer)
        return answer

    def _remember(self, instances: Mapping[str, str]) -> None:
        now = self._clock()
        for key, instance_id in instances.items():
            self._known.pop(key, None)
            self._known[key] = now, instance_id
        while len(self._known) > MAX_REMEMBERED:
            del self._known[next(iter(self._known))]
