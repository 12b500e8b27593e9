"""A simulated device: gmqtt with the public signature (device-mqtt §1), a random walk of temperature and humidity."""

import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable

import gmqtt
from gmqtt.mqtt.constants import MQTTv311

from thinghub.all_in_one.demo.house import Room

KEEP_ALIVE_SECONDS = 60

Received = Callable[[str, dict[str, object]], None]


class Device:
    """`received` gets the room's name and the content of each command; `status` whether it is connected now."""

    def __init__(self, room: Room, received: Received, status: Callable[[str, bool], None]) -> None:
        self.room = room
        self._received, self._status = received, status
        self._temperature = random.uniform(18, 24)
        self._humidity = random.uniform(40, 60)
        client = f"{room.product_key}.{room.name}"
        stamp = str(int(time.time() * 1000))
        content = f"clientId{client}deviceName{room.name}productKey{room.product_key}timestamp{stamp}"
        password = hmac.new(room.secret.encode(), content.encode(), hashlib.sha256).hexdigest()
        self._client = gmqtt.Client(
            f"{client}|securemode=3,signmethod=hmacsha256,timestamp={stamp}|", clean_session=True
        )
        self._client.set_config({"reconnect_retries": -1, "reconnect_delay": 13})  # at most five connects a minute
        self._client.set_auth_credentials(f"{room.name}&{room.product_key}", password)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    async def connect(self, host: str, port: int) -> None:
        await self._client.connect(host, port, keepalive=KEEP_ALIVE_SECONDS, version=MQTTv311)

    async def disconnect(self) -> None:
        await self._client.disconnect()

    @property
    def connected(self) -> bool:
        return bool(self._client.is_connected)

    def measure(self, reading: int) -> dict[str, float | int]:
        """Publishes the next reading with QoS 1 and returns it."""
        self._temperature = min(32.0, max(8.0, self._temperature + random.gauss(0, 0.4)))
        self._humidity = min(90.0, max(20.0, self._humidity + random.gauss(0, 1.0)))
        content = {
            "reading": reading,
            "temperature": round(self._temperature, 1),
            "humidity": round(self._humidity),
        }
        self._client.publish(self.room.topic("update"), json.dumps(content), qos=1)
        return content

    def _on_connect(self, client: gmqtt.Client, _flags: int, _code: int, _properties: object) -> None:
        client.subscribe(self.room.topic("get"), qos=1)
        self._status(self.room.name, True)

    def _on_disconnect(self, _client: gmqtt.Client, _packet: object, exc: object = None) -> None:
        self._status(self.room.name, False)

    def _on_message(self, _client: object, _topic: str, payload: bytes, _qos: int, _properties: object) -> int:
        self._received(self.room.name, json.loads(payload))
        return 0
