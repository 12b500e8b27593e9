"""The control topic: changes of rules that other processes stored."""

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from thinghub.common.bus.port import BusRecord
from thinghub.rule_engine.service.catalogue import Catalogue
from thinghubpb.bus.v1 import control_pb2


class Control:
    """A bus handler for the topic's tail. What is malformed or not about rules is others' business."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        for record in records:
            try:
                event = control_pb2.ControlEvent.FromString(record.value)
            except DecodeError:
                continue
            if event.HasField("rules_changed"):
                self._catalogue.changed()
