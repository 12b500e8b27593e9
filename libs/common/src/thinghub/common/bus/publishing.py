"""`publish` in terms of `send`, the same for every adapter."""

import asyncio
from typing import Protocol

from thinghub.common.bus.port import Done


class Sends(Protocol):
    def send(self, topic: str, partition: int, value: bytes, done: Done, key: bytes = b"") -> None: ...


async def publish(bus: Sends, topic: str, partition: int, value: bytes, key: bytes) -> None:
    """Sends and waits; raises what `done` was given."""
    loop = asyncio.get_running_loop()
    stored: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if stored.done():  # the caller was cancelled meanwhile
            return
        if error is None:
            stored.set_result(None)
        else:
            stored.set_exception(error)

    def done(error: BaseException | None) -> None:
        loop.call_soon_threadsafe(settle, error)

    bus.send(topic, partition, value, done, key)
    await stored
