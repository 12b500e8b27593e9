"""The control topic: product policies that changed elsewhere."""

import logging
from collections.abc import Sequence
from typing import Never

from google.protobuf.message import DecodeError

from thinghub.common.bus.port import Bus, BusRecord
from thinghub.connection_gateway.service.policies import Policies
from thinghub.device_protocol.bus_topics import CONTROL
from thinghubpb.bus.v1 import control_pb2

log = logging.getLogger("thinghub.connection_gateway.control")


class Control:
    def __init__(self, bus: Bus, policies: Policies) -> None:
        self._bus = bus
        self._policies = policies

    async def run(self) -> Never:
        await self._bus.tail([CONTROL], self.handle)

    async def handle(self, records: Sequence[BusRecord]) -> None:
        """Refreshes in one batch; raising has the same records come again, so no change is forgotten."""
        changed = {key for record in records for key in _changed(record.value)}
        if changed:
            await self._policies.changed(changed)


def _changed(value: bytes) -> list[str]:
    try:
        event = control_pb2.ControlEvent.FromString(value)
    except DecodeError:
        log.warning("a control record of %d bytes is no event of ours", len(value))
        return []
    return [event.policy_changed.product_key] if event.WhichOneof("change") == "policy_changed" else []
