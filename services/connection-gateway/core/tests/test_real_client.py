"""A real MQTT client against the core, driven the way the gateway drives it: by an asyncio reader on the event file."""

import asyncio
from typing import Any

import gmqtt
from gmqtt.mqtt.constants import MQTTv311

from tests.support.gateway_core import Gateway, parse
from thinghub_gateway_core import Accept, Downlink

GET, UPDATE = "/pk/dev/user/get", "/pk/dev/user/update"


class Driver:
    """Accepts everybody, commits everything, and echoes each committed uplink payload to `user/get`."""

    def __init__(self, gateway: Gateway) -> None:
        self.core = gateway.core
        self.payloads: list[bytes] = []
        self.outcomes: list[str] = []

    def on_event(self) -> None:
        batch = self.core.poll()
        self.core.accept([Accept(request.conn, "pk", "dev", 1, 0) for request in batch.connects])
        for record in batch.records:
            messages = parse(record).messages
            self.payloads += [message.payload for message in messages]
            self.core.deliver([Downlink(m.sequence, m.handle, GET, m.payload, m.qos, True) for m in messages])
        self.core.commit([record.record_id for record in batch.records])
        self.outcomes += [delivered.outcome for delivered in batch.delivered]


async def test_real_client_publishes_subscribes_and_receives(gateway: Gateway) -> None:
    driver = Driver(gateway)
    loop = asyncio.get_running_loop()
    loop.add_reader(gateway.core.event_fd(), driver.on_event)
    received: list[bytes] = []
    subscribed, complete = asyncio.Event(), asyncio.Event()

    def on_message(_client: Any, _topic: str, payload: bytes, _qos: int, _properties: Any) -> int:
        received.append(bytes(payload))
        if len(received) == 50:
            complete.set()
        return 0

    client = gmqtt.Client("pk.dev|securemode=3|")
    client.set_auth_credentials("dev&pk", "secret")
    client.on_message = on_message
    client.on_subscribe = lambda *_: subscribed.set()
    async with asyncio.timeout(20):
        await client.connect("127.0.0.1", gateway.port, keepalive=60, version=MQTTv311)
        client.subscribe(GET, qos=1)
        await subscribed.wait()
        for number in range(50):
            client.publish(UPDATE, b"%d" % number, qos=number % 2)
        await complete.wait()
        await client.disconnect()
        while gateway.core.sessions():
            await asyncio.sleep(0.01)
    loop.remove_reader(gateway.core.event_fd())
    assert received == driver.payloads == [b"%d" % number for number in range(50)]
    assert set(driver.outcomes) <= {"sent", "delivered", "offline"}
