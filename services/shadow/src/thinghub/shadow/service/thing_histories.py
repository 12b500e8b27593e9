"""Histories of several properties at once, and how long products keep theirs."""

from collections.abc import Mapping, Sequence

from thinghub.shadow.domain.property_pages import page_together
from thinghub.shadow.domain.thing_posts import Item
from thinghub.shadow.errors import RetentionInvalid, SpanInvalid
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.histories import PropertyHistories, Retentions
from thinghub.shadow.ports.things import Span
from thinghub.shadow.service.thing_reports import check_span

MAX_IDENTIFIERS = 10


class ThingHistories:
    """`days` is how long the platform keeps histories."""

    def __init__(self, histories: PropertyHistories, retentions: Retentions, days: int) -> None:
        self._histories = histories
        self._retentions = retentions
        self._days = days

    async def values(
        self, device: Device, identifiers: Sequence[str], span: Span
    ) -> tuple[Mapping[str, Sequence[Item]], int]:
        """By identifier in the order asked, and the time to go on with, 0 for none. Raises SpanInvalid,
        StoreUnavailable."""
        check_span(span)
        wanted = list(dict.fromkeys(identifiers))
        if not 1 <= len(wanted) <= MAX_IDENTIFIERS or not all(one.isprintable() for one in wanted):
            raise SpanInvalid(f"1 to {MAX_IDENTIFIERS} properties are named")
        found = await self._histories.several(device, wanted, span)
        return page_together(found, span.start_ms, span.end_ms, span.limit, span.ascending)

    async def retention(self, product_key: str) -> tuple[int, bool]:
        """Days, and whether they are the product's own. Raises StoreUnavailable."""
        own = await self._retentions.days(product_key)
        return (min(own, self._days), True) if own else (self._days, False)

    async def retain(self, product_key: str, days: int) -> int:
        """The days that are kept now; 0 asks for the platform's. What is older goes with the next daily sweep. Raises
        RetentionInvalid, StoreUnavailable."""
        if not product_key or not product_key.isprintable() or not 0 <= days <= self._days:
            raise RetentionInvalid(f"a product keeps 1 to {self._days} days, or 0 for what the platform keeps")
        await self._retentions.keep_days(product_key, days)
        return days or self._days
