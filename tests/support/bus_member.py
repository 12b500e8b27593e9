"""The other process of the bus tests: a member of the group, to be killed or frozen from outside."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.bus_suite import GROUP, make_bus
from thinghub.common.bus.port import BusRecord


async def main(url: str, prefix: str, topic: str, name: str) -> None:
    path = Path(name)

    def note(suffix: str, record: BusRecord) -> None:
        with path.with_suffix(suffix).open("ab") as notes:
            notes.write(record.value[:20] + b"\n")

    async def handle(records: Sequence[BusRecord]) -> None:
        for record in records:
            note(".begun", record)
            while record.value.startswith(b"gate") and not path.with_suffix(".gate").exists():
                await asyncio.sleep(0.01)
            note(".finished", record)

    await make_bus(url, prefix).consume(GROUP, [topic], handle, max_records=10)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(*sys.argv[1:]))
