"""The platform's own word on an asynchronous call that no device will ever answer (server-subscription §4)."""

import logging
from collections.abc import Sequence
from typing import Final

from thinghub.common.errors import Fault
from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.message_ids import derive
from thinghub.device_protocol.records import Message
from thinghub.shadow.domain import thing_bodies as bodies
from thinghub.shadow.ports.things import Sending, ThingData
from thinghub.shadow.service.thing_lookups import IotIds

OFFLINE: Final = "the device is offline"
log = logging.getLogger("thinghub.shadow.calls")


class UnreachedCalls:
    def __init__(self, iot_ids: IotIds, data: ThingData) -> None:
        self._iot_ids = iot_ids
        self._data = data

    async def tell(self, calls: Sequence[tuple[Sending, int]], now_ms: int) -> None:
        """A downlink reply of code 9201 for each message, with the id in it. The caller of the API has had its answer:
        when this cannot be told, it is not."""
        if not calls:
            return
        try:
            iot_ids = await self._iot_ids.get({call.device for call, _ in calls})
            await self._data.publish(
                [_message(call, number, iot_ids.get(call.device, ""), now_ms) for call, number in calls]
            )
        except Fault as fault:
            log.warning("that %d devices were not reached was not told: %s", len(calls), fault.message)


def _message(call: Sending, number: int, iot_id: str, now_ms: int) -> Message:
    product_key, device_name = call.device
    identity = {"iotId": iot_id, "productKey": product_key, "deviceName": device_name}
    return Message(
        id=derive(call.message_id, "thing.data/unreached"),
        product_key=product_key,
        device_name=device_name,
        topic=bodies.reply_topic(product_key, device_name),
        payload=bodies.reply_body(identity, now_ms, str(number), Alink.DEVICE_OFFLINE, OFFLINE, call.topic, None),
        received_ms=now_ms,
    )
