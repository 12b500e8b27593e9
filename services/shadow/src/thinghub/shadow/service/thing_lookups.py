"""Thing models and device identities, asked of device-registry in batches and remembered.

A model is read again after half a minute, or at once when `control` announced a new one; while the registry is away the
known one stays in force. Which IotId a device has is remembered for a minute: the bodies of messages name it.
"""

from collections.abc import Callable, Iterable, Mapping

from thinghub.common.errors import Fault
from thinghub.shadow.domain.thing_models import ThingModel
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.things import Identities, ThingModelSource

MODEL_S = 30.0
IDENTITY_S = 60.0
MAX_MODELS = 10_000
MAX_IDENTITIES = 200_000


class ThingModels:
    """`clock` gives seconds that only rise."""

    def __init__(self, source: ThingModelSource, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._known: dict[str, tuple[ThingModel | None, float]] = {}

    def changed(self, product_key: str) -> None:
        """Its model is read again before it is next used; if that fails, the old one still holds."""
        known = self._known.get(product_key)
        if known is not None:
            self._known[product_key] = (known[0], 0.0)

    async def get(self, product_keys: Iterable[str]) -> Mapping[str, ThingModel]:
        """Of those products that exist. Raises Unavailable when one was never known."""
        now = self._clock()
        wanted = set(product_keys)
        stale = [key for key in wanted if (known := self._known.get(key)) is None or known[1] <= now]
        if stale:
            await self._read(stale, now)
        found = ((key, self._known[key][0]) for key in wanted)
        return {key: model for key, model in found if model is not None}

    async def _read(self, stale: list[str], now: float) -> None:
        try:
            models = await self._source.models(stale)
        except Fault:
            if any(key not in self._known for key in stale):
                raise
            return
        if len(self._known) + len(stale) > MAX_MODELS:
            self._known = {key: one for key, one in self._known.items() if one[1] > now}
        for key in stale:
            self._known[key] = (models.get(key), now + MODEL_S)


class IotIds:
    """`clock` gives seconds that only rise."""

    def __init__(self, identities: Identities, clock: Callable[[], float]) -> None:
        self._identities = identities
        self._clock = clock
        self._known: dict[Device, tuple[str, float]] = {}

    async def get(self, devices: Iterable[Device]) -> Mapping[Device, str]:
        """Of those devices that exist. Raises Unavailable."""
        now = self._clock()
        wanted = set(devices)
        unknown = [one for one in wanted if (known := self._known.get(one)) is None or known[1] <= now]
        if unknown:
            if len(self._known) + len(unknown) > MAX_IDENTITIES:
                self._known.clear()
                unknown = list(wanted)
            found = await self._identities.iot_ids(unknown)
            for device in unknown:
                self._known[device] = (found.get(device, ""), now + IDENTITY_S)
        return {one: iot_id for one in wanted if (iot_id := self._known[one][0])}
