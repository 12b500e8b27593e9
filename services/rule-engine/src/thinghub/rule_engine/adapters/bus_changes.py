"""Rule changes on the control topic, which every process reads from its tail."""

from thinghub.common.bus.port import Bus
from thinghub.device_protocol import bus_topics
from thinghubpb.bus.v1 import control_pb2


class BusChanges:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def announce(self, rule_id: int) -> None:
        event = control_pb2.ControlEvent(rules_changed=control_pb2.RulesChanged(rule_id=rule_id))
        await self._bus.publish(bus_topics.CONTROL, 0, event.SerializeToString())
