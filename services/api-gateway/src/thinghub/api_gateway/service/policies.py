"""Product policies, remembered for a moment, so that a stream of Pub calls does not ask the registry for each message.

What a remembered policy allows may be five seconds old: a topic class or product that is gone by then has no receiver
either. What it would refuse may have been allowed just now, so the registry is asked again before a refusal.
"""

from collections import OrderedDict
from collections.abc import Callable

from thinghub.api_gateway.domain.values import Policy
from thinghub.api_gateway.errors import Refused
from thinghub.api_gateway.ports import Products

FRESH_SECONDS = 5.0
MAX_REMEMBERED = 10_000

Check = Callable[[Policy], None]
"""Raises Refused when the policy does not allow what is asked."""


class Policies:
    """`clock` gives seconds and never goes back. The least recently fetched product is forgotten first."""

    def __init__(self, products: Products, clock: Callable[[], float]) -> None:
        self._products = products
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Policy]] = OrderedDict()

    async def check(self, product_key: str, check: Check) -> None:
        """Passes when the policy, remembered or fetched, passes `check`. Raises Refused, or the registry's fault."""
        remembered = self._remembered(product_key)
        if remembered is not None:
            try:
                check(remembered)
                return
            except Refused:
                pass  # perhaps no longer: the registry decides
        check(await self._fetch(product_key))

    def _remembered(self, product_key: str) -> Policy | None:
        fetched, policy = self._known.get(product_key, (0.0, None))
        return policy if policy is not None and self._clock() - fetched < FRESH_SECONDS else None

    async def _fetch(self, product_key: str) -> Policy:
        policy = await self._products.policy(product_key)
        self._known.pop(product_key, None)
        if policy.found:
            self._known[product_key] = (self._clock(), policy)
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return policy
