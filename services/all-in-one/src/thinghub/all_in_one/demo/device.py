"""A simulated room: an SDK device whose temperature and humidity take a random walk."""

import json
import random
from collections.abc import Callable

from thinghub.all_in_one.demo.house import Room
from thinghub.device_sdk import Backoff, Device, Endpoint, Identity, Options

# Five connects a minute are a device's share.
OPTIONS = Options(backoff=Backoff(first=5))

Received = Callable[[str, dict[str, object]], None]


class RoomDevice:
    """`received` gets the room's name and the content of each command; `status` whether it is connected now."""

    def __init__(self, room: Room, endpoint: Endpoint, received: Received, status: Callable[[str, bool], None]) -> None:
        self.room = room
        self.device = Device(
            Identity(room.product_key, room.name, room.secret),
            endpoint,
            OPTIONS,
            on_status=lambda connected: status(room.name, connected),
        )
        self._received = received
        self._temperature = random.uniform(18, 24)
        self._humidity = random.uniform(40, 60)

    async def listen(self) -> None:
        await self.device.subscribe(self.device.topic("get"), self._on_message)

    def reading(self, number: int) -> dict[str, float | int]:
        self._temperature = min(32.0, max(8.0, self._temperature + random.gauss(0, 0.4)))
        self._humidity = min(90.0, max(20.0, self._humidity + random.gauss(0, 1.0)))
        return {"reading": number, "temperature": round(self._temperature, 1), "humidity": round(self._humidity)}

    async def publish(self, reading: dict[str, float | int]) -> None:
        """Raises DeviceError."""
        await self.device.publish(self.device.topic("update"), json.dumps(reading).encode())

    async def _on_message(self, _topic: str, payload: bytes) -> None:
        self._received(self.room.name, json.loads(payload))
