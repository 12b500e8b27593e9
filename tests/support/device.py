"""A device as a fleet would write it: gmqtt with the public signature, and an inbox to wait on."""

import asyncio
import ssl
from dataclasses import dataclass

import gmqtt
from gmqtt.mqtt.constants import MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError

from tests.support.identity import Identity

INBOX_SIZE = 10_000


@dataclass(frozen=True)
class Inbound:
    topic: str
    payload: bytes
    qos: int
    dup: bool = False


class Refused(Exception):
    """CONNACK said no; `code` is its return code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"connection refused with return code {code}")
        self.code = code


class Device:
    """One connection of one device; every wait has a deadline. `session_present` is what the CONNACK said."""

    def __init__(self, identity: Identity, *, ext: int = 0, method: str = "hmacsha256", clean: bool = True) -> None:
        self.identity = identity
        self.session_present = False
        self._clean = clean
        self._login = identity.login(method=method, ext=ext)
        self.inbox: asyncio.Queue[Inbound] = asyncio.Queue(INBOX_SIZE)
        self.closed = asyncio.Event()
        self._granted: asyncio.Queue[tuple[int, ...]] = asyncio.Queue(100)
        self._ended: asyncio.Queue[int] = asyncio.Queue(100)
        self._client: gmqtt.Client | None = None

    async def connect(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, deadline: float = 15.0
    ) -> "Device":
        """Raises Refused with the CONNACK code, TimeoutError when nothing came."""
        client = gmqtt.Client(self._login.client_id, clean_session=self._clean)
        client.set_config({"reconnect_retries": 0})
        client.set_auth_credentials(self._login.username, self._login.password)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        try:
            await asyncio.wait_for(
                client.connect(host, port, ssl=tls or False, keepalive=60, version=MQTTv311), deadline
            )
        except MQTTConnectError as error:
            client.stop_reconnect()
            raise Refused(int(error._code)) from error
        client.stop_reconnect()
        self._client = client
        return self

    async def subscribe(self, *topics: str, qos: int = 1, deadline: float = 10.0) -> tuple[int, ...]:
        """Return codes of the SUBACK, one a topic."""
        assert self._client is not None
        self._client.subscribe([gmqtt.Subscription(topic, qos=qos) for topic in topics])
        return await asyncio.wait_for(self._granted.get(), deadline)

    async def unsubscribe(self, *topics: str, deadline: float = 10.0) -> None:
        """Returns when the UNSUBACK came."""
        assert self._client is not None
        self._client.unsubscribe(list(topics))
        await asyncio.wait_for(self._ended.get(), deadline)

    async def lose(self) -> None:
        """The connection ends without a DISCONNECT."""
        assert self._client is not None
        assert self._client._connection is not None
        self._client._connection._transport.abort()
        await self.wait_closed()

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        assert self._client is not None
        self._client.publish(topic, payload, qos=qos)

    async def receive(self, deadline: float = 10.0) -> Inbound:
        return await asyncio.wait_for(self.inbox.get(), deadline)

    async def wait_closed(self, deadline: float = 15.0) -> None:
        await asyncio.wait_for(self.closed.wait(), deadline)

    async def disconnect(self) -> None:
        if self._client is not None and not self.closed.is_set():
            await self._client.disconnect()

    async def __aenter__(self) -> "Device":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.disconnect()

    def _on_connect(self, _client: object, flags: int, _code: int, _properties: object) -> None:
        self.session_present = bool(flags & 1)

    def _on_message(self, _client: object, topic: str, payload: bytes, qos: int, properties: dict[str, object]) -> int:
        self.inbox.put_nowait(Inbound(topic, bytes(payload), qos, bool(properties["dup"])))
        return 0

    def _on_disconnect(self, _client: object, _packet: object, exc: object = None) -> None:
        self.closed.set()

    def _on_subscribe(self, _client: object, _mid: int, codes: tuple[int, ...], _properties: object) -> None:
        self._granted.put_nowait(tuple(codes))

    def _on_unsubscribe(self, _client: object, mid: int, *_: object) -> None:
        self._ended.put_nowait(mid)
