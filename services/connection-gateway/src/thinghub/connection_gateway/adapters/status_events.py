"""Online and offline, on the bus: the category `lifecycle`, one record a partition and batch.

Events wait in a bounded queue and go out in order; what the bus did not take is tried again, so an outage delays
events and loses none. While the queue is full, whoever emits waits: connects then run into their deadline, which is
the honest answer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from thinghub.common.bus.port import Bus
from thinghub.common.errors import Fault
from thinghub.connection_gateway.ports import StatusEvent
from thinghub.device_protocol.bodies import status_body, status_topic
from thinghub.device_protocol.bus_topics import DEVICE_LIFECYCLE
from thinghub.device_protocol.message_ids import derive
from thinghub.device_protocol.records import Message, encode_record
from thinghub.device_protocol.slots import device_partition

QUEUE = 20_000
BATCH = 500
PAUSE_SECONDS = 0.2

log = logging.getLogger("thinghub.connection_gateway.status")


class BusStatusEvents:
    def __init__(self, bus: Bus, origin: str, partitions: int) -> None:
        self._bus = bus
        self._origin = origin
        self._partitions = partitions
        self._queue: asyncio.Queue[StatusEvent] = asyncio.Queue(QUEUE)
        self._emitted = self._published = 0
        # Who waits until so many are published, in this order.
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def emit(self, events: Sequence[StatusEvent]) -> None:
        for event in events:
            await self._queue.put(event)
            self._emitted += 1

    async def tell(self, events: Sequence[StatusEvent]) -> None:
        await self.emit(events)
        if events:
            published: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((self._emitted, published))
            await published

    async def run(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            by_partition: dict[int, list[Message]] = {}
            for event in batch:
                device = event.session.device
                partition = device_partition(device.product_key, device.device_name, self._partitions)
                by_partition.setdefault(partition, []).append(_message(event))
            await asyncio.gather(*(self._publish(*one) for one in by_partition.items()))
            for _ in batch:
                self._queue.task_done()
            self._published += len(batch)
            while self._waiting and self._waiting[0][0] <= self._published:
                _, published = self._waiting.popleft()
                if not published.done():
                    published.set_result(None)

    async def drained(self, deadline: float) -> bool:
        """Waits until everything emitted is on the bus; False when that takes longer."""
        try:
            await asyncio.wait_for(self._queue.join(), deadline)
        except TimeoutError:
            return False
        return True

    async def _publish(self, partition: int, messages: Sequence[Message]) -> None:
        value = encode_record(self._origin, messages)
        while True:
            try:
                await self._bus.publish(DEVICE_LIFECYCLE, partition, value)
                return
            except Fault as fault:
                log.warning("%d status events wait for the bus: %s", len(messages), fault)
                await asyncio.sleep(PAUSE_SECONDS)


def _message(event: StatusEvent) -> Message:
    session, device = event.session, event.session.device
    body = status_body(
        "online" if event.online else "offline",
        product_key=device.product_key,
        device_name=device.device_name,
        iot_id=session.iot_id,
        time_ms=event.time_ms,
        last_ms=event.last_ms,
        client_ip=session.client_ip,
    )
    return Message(
        id=derive(session.epoch, f"{'online' if event.online else 'offline'}:{device.key}"),
        product_key=device.product_key,
        device_name=device.device_name,
        topic=status_topic(device.product_key, device.device_name),
        payload=body,
        epoch=session.epoch,
        received_ms=event.time_ms,
        handle=session.handle,
    )
