"""Posts of devices, from the bus to what they leave behind.

    judge each message ── latest values (Redis, fenced by epoch and sequence)
                      ├── history (PostgreSQL, one row a post or event; answers go into the row of their call)
                      ├── thing.data (the bus; ids derived from the message's, so a repeat repeats them)
                      └── replies, once all of that is stored

The batch comes again when a store is away, and every step may be repeated.
"""

import asyncio
import logging
from collections.abc import Sequence

from thinghub.common.errors import Fault
from thinghub.device_protocol.records import Message
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.ports.relays import RelayedProperties
from thinghub.shadow.ports.thing_calls import Calls
from thinghub.shadow.ports.things import History, Properties, Senders, Sending, ThingData
from thinghub.shadow.service.thing_judging import Effects, Judged, is_judged
from thinghub.shadow.service.thing_lookups import IotIds, ThingModels
from thinghub.shadow.service.thing_observation import ThingObservation
from thinghub.shadow.service.thing_relays import Relays, judge

log = logging.getLogger("thinghub.shadow.things")

Arrived = tuple[str, Message]
"""Origin gateway and message."""


class Things:
    def __init__(
        self,
        models: ThingModels,
        iot_ids: IotIds,
        relays: Relays,
        properties: Properties,
        relayed_properties: RelayedProperties,
        history: History,
        calls: Calls,
        data: ThingData,
        senders: Senders,
        observation: ThingObservation,
    ) -> None:
        self._models = models
        self._iot_ids = iot_ids
        self._relays = relays
        self._properties = properties
        self._relayed = relayed_properties
        self._history = history
        self._calls = calls
        self._data = data
        self._senders = senders
        self._observation = observation

    async def handle(self, batch: Sequence[Arrived]) -> None:
        """Returns when every effect is stored. Raises Fault: the batch has to come again."""
        mine = [one for one in batch if is_judged(one[1].topic)]
        if not mine:
            return
        relayed = await self._relays.read(message for _, message in mine)
        others = {device for one in relayed.values() for device in one.others}
        models = await self._models.get({one.product_key for _, one in mine} | {one.product_key for one in others})
        iot_ids = await self._iot_ids.get({Device(one.product_key, one.device_name) for _, one in mine} | others)
        for one in relayed.values():
            judge(one, models, iot_ids)
        effects = Effects()
        for origin, message in mine:
            device = Device(message.product_key, message.device_name)
            model, iot_id = models.get(message.product_key), iot_ids.get(device)
            if model is None or iot_id is None:
                effects.tally["unknown_device"] += 1
                continue
            Judged(effects, origin, message, device, model, iot_id, relayed.get(message.id)).judge()
        await self._store(effects)
        self._observation.posts(effects.tally)
        await self._reply(effects.replies)

    async def _store(self, effects: Effects) -> None:
        # All are waited for, so that nothing of this batch runs on when it comes again.
        results = await asyncio.gather(
            self._put(effects),
            self._history.add(effects.posts, effects.events),
            self._calls.answered(effects.answers),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        if effects.data:
            await self._data.publish(effects.data)

    async def _put(self, effects: Effects) -> None:
        """What came by other devices goes second: a history is compared with what is newest."""
        await self._properties.put(list(effects.latest.values()))
        await self._relayed.put(effects.relayed)

    async def _reply(self, replies: Sequence[Sending]) -> None:
        """A reply that no gateway takes is lost: the device asks again."""
        if not replies:
            return
        try:
            self._observation.replies(await self._senders.send(replies))
        except Fault as fault:
            log.warning("%d replies were not sent: %s", len(replies), fault.message)
            self._observation.replies({"unavailable": len(replies)})
