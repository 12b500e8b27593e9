"""Dead letters from the bus to where they are looked at."""

from collections.abc import Sequence

from thinghub.common.bus.port import BusRecord
from thinghub.rule_engine.domain.deadletters import Death
from thinghub.rule_engine.entrypoints.retries import decode, output_of
from thinghub.rule_engine.ports.deadletters import DeadLetterStore


class DeadLetterRecords:
    """A bus handler: returns when they are kept."""

    def __init__(self, store: DeadLetterStore) -> None:
        self._store = store

    async def __call__(self, records: Sequence[BusRecord]) -> None:
        for record in records:  # one may have megabytes
            decoded = decode(record)
            if decoded is None:
                continue
            await self._store.keep(
                [
                    Death(output_of(action), record.timestamp_ms, record.partition, record.offset)
                    for action in decoded.actions
                ]
            )
