"""Device messages from the bus to the engine."""

import logging
from collections.abc import Iterable, Sequence

from google.protobuf.message import DecodeError

from thinghub.common.bus.port import BusRecord
from thinghub.device_protocol import bus_topics
from thinghub.device_protocol.records import FORMAT, OLDEST_FORMAT, RecordFormatError
from thinghub.rule_engine.service.engine import Engine
from thinghub.rule_engine.service.evaluation import BusMessage
from thinghub.rule_engine.service.observation import Observation, Tally
from thinghubpb.bus.v1 import record_pb2

TOPICS = (bus_topics.DEVICE_CUSTOM, bus_topics.DEVICE_LIFECYCLE, bus_topics.THING_DATA, bus_topics.OTA_DATA)
log = logging.getLogger("thinghub.rule_engine.messages")


class Messages:
    """A bus handler: returns when the outputs of all records are durable somewhere."""

    def __init__(self, engine: Engine, observation: Observation) -> None:
        self._engine = engine
        self._observation = observation

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        await self._engine.process(self._messages(record) for record in records)

    def _messages(self, record: BusRecord) -> Iterable[BusMessage]:
        """The decoded messages serve as they are: copying each into a class of ours would cost more than evaluating it.
        Raises RecordFormatError for a newer layout, which a newer release will read."""
        try:
            decoded = record_pb2.Record.FromString(record.value)
        except DecodeError:
            log.error("%s/%d@%d is not a bus record and is skipped", record.topic, record.partition, record.offset)
            self._observation.messages(Tally({"malformed_record": 1}))
            return ()
        if not OLDEST_FORMAT <= decoded.format <= FORMAT:
            raise RecordFormatError(f"record format {decoded.format} is not known to this release")
        return decoded.messages
