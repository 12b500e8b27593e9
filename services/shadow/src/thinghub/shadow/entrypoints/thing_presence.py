"""Bus records of lifecycle to what is kept of a thing by its name."""

from collections.abc import Awaitable, Callable, Sequence

import orjson

from thinghub.common.bus.port import BusRecord
from thinghub.device_protocol.bodies import lifecycle_topic
from thinghub.shadow.entrypoints.documents import decode
from thinghub.shadow.ports.documents import Device
from thinghub.shadow.service.document_observation import DocumentObservation

Forget = Callable[[Sequence[tuple[Device, int]]], Awaitable[None]]
"""Of devices deleted at epoch milliseconds."""


class ThingsDeleted:
    """A bus handler of `device.lifecycle`: a device that is made anew under the name begins with nothing."""

    def __init__(self, forget: Sequence[Forget], observation: DocumentObservation) -> None:
        self._forget = forget
        self._observation = observation

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        deleted: dict[Device, int] = {}
        for record in records:
            for message in decode(record, self._observation).messages:
                device = Device(message.product_key, message.device_name)
                if message.topic == lifecycle_topic(*device) and _is_deletion(message.payload):
                    deleted[device] = message.received_ms
        if deleted:
            for forget in self._forget:
                await forget(list(deleted.items()))


def _is_deletion(payload: bytes) -> bool:
    try:
        body = orjson.loads(payload)
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("action") == "delete"
