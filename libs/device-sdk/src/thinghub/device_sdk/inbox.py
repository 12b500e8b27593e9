"""What arrives: replies go to the call that awaits them at once, the rest to its handler, one at a time, in order.

Because replies overtake, a handler may itself post, ask and subscribe. The inbox is bounded: a QoS 1 message beyond the
bound stays unacknowledged, and the platform sends only so many of those; a QoS 0 message is dropped and counted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

Handler = Callable[[str, bytes], Awaitable[None]]
# Says whether it took the message; must not wait.
Immediate = Callable[[str, bytes], bool]


@dataclass(frozen=True, slots=True)
class _Inbound:
    topic: str
    payload: bytes
    done: asyncio.Future[None] | None


class Inbox:
    """`dropped` counts QoS 0 messages that found it full."""

    def __init__(self, size: int, handler_deadline: float) -> None:
        self.dropped = 0
        self._deadline = handler_deadline
        self._queue: asyncio.Queue[_Inbound] = asyncio.Queue(size)
        self._immediate: list[Immediate] = []
        self._routes: dict[str, Handler] = {}
        self._receiving: set[asyncio.Task[object]] = set()

    def first(self, immediate: Immediate) -> None:
        self._immediate.append(immediate)

    def route(self, filter_: str, handler: Handler) -> None:
        """Of several filters that match, the one routed first gets the message."""
        self._routes[filter_] = handler

    def unroute(self, filter_: str) -> None:
        self._routes.pop(filter_, None)

    async def receive(self, topic: str, payload: bytes, qos: int) -> None:
        """Returns when the message may be acknowledged."""
        if any(takes(topic, payload) for takes in self._immediate):
            return
        if qos == 0:
            self._put_or_drop(_Inbound(topic, payload, None))
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.current_task()
        assert task is not None  # only ever called from one
        self._receiving.add(task)
        try:
            await self._queue.put(_Inbound(topic, payload, done))
            await done
        finally:
            self._receiving.discard(task)

    async def run(self) -> None:
        """Hands messages to their handlers until cancelled."""
        try:
            while True:
                inbound = await self._queue.get()
                try:
                    await self._handle(inbound)
                finally:
                    if inbound.done is not None and not inbound.done.done():
                        inbound.done.set_result(None)
        finally:
            for task in self._receiving:
                task.cancel()

    async def _handle(self, inbound: _Inbound) -> None:
        handler = next((one for name, one in self._routes.items() if matches(name, inbound.topic)), None)
        if handler is None:
            log.debug("no handler for %s", inbound.topic)
            return
        try:
            async with asyncio.timeout(self._deadline):
                await handler(inbound.topic, inbound.payload)
        except Exception:
            log.exception("the handler of %s failed", inbound.topic)

    def _put_or_drop(self, inbound: _Inbound) -> None:
        try:
            self._queue.put_nowait(inbound)
        except asyncio.QueueFull:
            self.dropped += 1
            if self.dropped == 1 or self.dropped % 1000 == 0:
                log.warning("the inbox is full; %d messages of QoS 0 dropped so far", self.dropped)


def matches(filter_: str, topic: str) -> bool:
    """MQTT's rule: `+` is one level, a last `#` is the level before it and everything below."""
    wanted, levels = filter_.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(want in ("+", level) for want, level in zip(wanted, levels, strict=True))
