"""One MQTT connection on gmqtt, from CONNECT to its end; the next connection is a new Link.

gmqtt can reconnect and resend by itself; it is told not to: waits between attempts, what a refusal means, which publish
is repeated and until when are decisions of this SDK (`connection`). So a Link only opens, publishes, subscribes, and
says when it is lost. A QoS 1 message is acknowledged when its handler is done with it, not when it arrives.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import gmqtt
from gmqtt.mqtt.constants import MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError

from thinghub.device_sdk.errors import ConnectionLost, ConnectRefused, SubscriptionRefused
from thinghub.device_sdk.identity import Endpoint, Login
from thinghub.device_sdk.options import Options

# A connection that does not end by itself within this time is cut.
GOODBYE_SECONDS = 2.0
# The CONNACK and the close that follows a refusal may be read in one go; the refusal is the one worth telling.
REFUSAL_SECONDS = 0.2
WATCH_SECONDS = 1.0
REFUSED = 0x80

Received = Callable[[str, bytes, int], Awaitable[None]]


class Link:
    """`received(topic, payload, qos)` is awaited for each message; QoS 1 is acknowledged when it returns."""

    def __init__(self, login: Login, options: Options, received: Received) -> None:
        self.lost = asyncio.Event()
        self._options, self._received = options, received
        self._acks = _Acks()
        self._subscribed: dict[int, asyncio.Future[Sequence[int]]] = {}
        make: type[gmqtt.Client] = _Client
        client = make(
            login.client_id,
            clean_session=options.clean_session,
            optimistic_acknowledgement=False,
            persistent_storage=self._acks,
            logger=logging.Logger("gmqtt", logging.CRITICAL + 1),  # whatever it would say, the SDK says in its words
        )
        client.set_config({"reconnect_retries": -2})  # less than none: 0 would still try once
        client.set_auth_credentials(login.username, login.password)
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        self._client = client

    async def open(self, endpoint: Endpoint) -> None:
        """Raises ConnectRefused, ConnectionLost, OSError (TimeoutError among them)."""
        opening = asyncio.ensure_future(
            self._client.connect(
                endpoint.host,
                endpoint.port,
                ssl=endpoint.tls or False,
                keepalive=self._options.keep_alive,
                version=MQTTv311,
            )
        )
        opening.add_done_callback(_retrieve)
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            async with asyncio.timeout(self._options.attempt_deadline):
                await asyncio.wait({opening, lost}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait({opening}, timeout=REFUSAL_SECONDS)
            if not opening.done():
                raise ConnectionLost("the connection was closed before its CONNACK")
            opening.result()
        except MQTTConnectError as error:
            raise ConnectRefused(int(error._code)) from error
        finally:
            lost.cancel()
            opening.cancel()

    async def publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Returns after PUBACK with QoS 1, at once with QoS 0. Raises ConnectionLost."""
        self._check()
        self._client.publish(topic, payload, qos=qos)
        if qos:
            await self._acks.taken()

    async def subscribe(self, filters: Sequence[tuple[str, int]]) -> None:
        """One SUBSCRIBE. Raises SubscriptionRefused, ConnectionLost."""
        self._check()
        wanted = [gmqtt.Subscription(name, qos=qos) for name, qos in filters]
        codes = await self._answer(self._client.subscribe(wanted))
        refused = [name for (name, _), code in zip(filters, codes, strict=False) if code >= REFUSED]
        if refused:
            raise SubscriptionRefused(refused)

    async def unsubscribe(self, name: str) -> None:
        """Raises ConnectionLost."""
        self._check()
        await self._answer(self._client.unsubscribe(name))

    async def wait_lost(self) -> None:
        """Until the connection is gone; one that hangs half closed is counted as gone."""
        while not self.lost.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):  # wait_for would lose a cancellation that meets the loss
                    await self.lost.wait()
            if not self._client.is_connected:
                self._end()

    async def close(self) -> None:
        """Says DISCONNECT if it can, and cuts the connection in any case; takes two seconds at most."""
        try:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self._client.disconnect()
        finally:
            if (connection := self._client._connection) is not None:
                connection._transport.abort()
            self._end()

    async def _answer(self, mid: int) -> Sequence[int]:
        answered: asyncio.Future[Sequence[int]] = asyncio.get_running_loop().create_future()
        self._subscribed[mid] = answered
        try:
            return await answered
        finally:
            self._subscribed.pop(mid, None)

    def _check(self) -> None:
        """Raises ConnectionLost, also when gmqtt knows it before it tells."""
        if not self._client.is_connected:
            self._end()
        if self.lost.is_set():
            raise ConnectionLost("the connection is lost")

    def _end(self) -> None:
        self.lost.set()
        self._acks.fail()
        for answered in self._subscribed.values():
            if not answered.done():
                answered.set_exception(ConnectionLost("the connection was lost before the SUBACK"))

    def _on_disconnect(self, _client: object, _packet: object, _exc: object = None) -> None:
        self._end()

    def _on_subscribe(self, _client: object, mid: int, codes: Sequence[int], _properties: object) -> None:
        if (answered := self._subscribed.get(mid)) and not answered.done():
            answered.set_result(tuple(codes))

    def _on_unsubscribe(self, _client: object, mid: int, _codes: Sequence[int]) -> None:
        self._on_subscribe(_client, mid, (), None)

    async def _on_message(self, _client: object, topic: str, payload: bytes, qos: int, _properties: object) -> int:
        with contextlib.suppress(asyncio.CancelledError):  # closing; by then nothing can be acknowledged any more
            await self._received(topic, bytes(payload), qos)
        return 0


class _Client(gmqtt.Client):
    """gmqtt, except that an acknowledgement is only sent on the connection that its message came on."""

    def _send_command_with_mid(self, cmd: int, mid: int, dup: bool, reason_code: int = 0) -> None:
        if self.is_connected and self._connection is not None:
            self._connection.send_command_with_mid(cmd, mid, dup, reason_code=reason_code)


class _Acks:
    """Takes the place of gmqtt's store for resending: remembers nothing but who waits for which PUBACK."""

    is_empty = True

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._last = 0

    async def taken(self) -> None:
        """The acknowledgement of the message pushed last. Raises ConnectionLost."""
        mid = self._last
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[mid] = acknowledged
        try:
            await acknowledged
        finally:
            self._waiting.pop(mid, None)

    def fail(self) -> None:
        for acknowledged in self._waiting.values():
            if not acknowledged.done():
                acknowledged.set_exception(ConnectionLost("the connection was lost before the PUBACK"))

    def push_message(self, mid: int, _package: bytes) -> None:
        self._last = mid

    def remove_message_by_mid(self, mid: int) -> None:
        if (acknowledged := self._waiting.get(mid)) and not acknowledged.done():
            acknowledged.set_result(None)

    def get_all(self) -> list[Any]:
        return []

    def clear(self) -> None:
        """Called for a session without memory, when nothing waits yet."""

    async def wait_empty(self) -> None:
        return


def _retrieve(opening: "asyncio.Future[None]") -> None:
    """An attempt that nobody waits for any more may still fail; that is no news."""
    if not opening.cancelled():
        opening.exception()
