"""What devices reported, for servers."""

from collections.abc import Sequence
from typing import NamedTuple

from thinghub.device_protocol.tsl.model import Property
from thinghub.shadow.domain.property_pages import page_together
from thinghub.shadow.domain.thing_models import ThingModel
from thinghub.shadow.domain.thing_posts import Item
from thinghub.shadow.errors import SpanInvalid, ThingModelMissing
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import EventRow, History, Properties, Span
from thinghub.shadow.service.thing_lookups import ThingModels

MAX_LIMIT = 100


class Reported(NamedTuple):
    property: Property
    item: Item | None


class ThingReports:
    def __init__(
        self,
        models: ThingModels,
        properties: Properties,
        history: History,
    ) -> None:
        self._models = models
        self._properties = properties
        self._history = history

    async def latest(self, device: Device, module: str) -> list[Reported]:
        """One a property of the default module, or of the named one. Raises ThingModelMissing, StoreUnavailable."""
        model = await self._model(device)
        wanted = [one for one in model.validator.properties.values() if _module_of(one) == module]
        items = await self._properties.get(device, [one.identifier for one in wanted])
        return [Reported(one, item) for one, item in zip(wanted, items, strict=True)]

    async def values(self, device: Device, identifier: str, span: Span) -> tuple[Sequence[Item], int]:
        """And the time to go on with, 0 for none. Raises SpanInvalid, StoreUnavailable."""
        check_span(span)
        found = {identifier: await self._history.values(device, identifier, span)}
        page, next_ms = page_together(found, span.start_ms, span.end_ms, span.limit, span.ascending)
        return page[identifier], next_ms

    async def events(self, device: Device, identifier: str, kind: str, span: Span) -> tuple[Sequence[EventRow], int]:
        """The same of events; empty: every one."""
        check_span(span)
        found = await self._history.events(device, identifier, kind, span)
        return found[: span.limit], found[span.limit].time_ms if len(found) > span.limit else 0

    async def _model(self, device: Device) -> ThingModel:
        model = (await self._models.get([device.product_key])).get(device.product_key)
        if model is None or not model.version:
            raise ThingModelMissing("the product has no published thing model")
        return model


def _module_of(one: Property) -> str:
    block, colon, _ = one.identifier.partition(":")
    return block if colon else ""


def check_span(span: Span) -> None:
    """Raises SpanInvalid."""
    if not 1 <= span.limit <= MAX_LIMIT:
        raise SpanInvalid(f"a page has 1 to {MAX_LIMIT} entries")
    if not 0 <= span.start_ms <= span.end_ms < 1 << 53:
        raise SpanInvalid("the times are epoch milliseconds, the start not after the end")
