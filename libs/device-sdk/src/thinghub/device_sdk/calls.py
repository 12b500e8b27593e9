"""RRPC: a server asks, the device answers within the server's timeout of at most eight seconds (device-mqtt §9)."""

import logging
from collections.abc import Awaitable, Callable

from thinghub.device_sdk.channel import Channel
from thinghub.device_sdk.errors import DeviceError
from thinghub.device_sdk.identity import Identity
from thinghub.device_sdk.inbox import Inbox
from thinghub.device_sdk.things import Things

log = logging.getLogger(__name__)

EXT = "/ext/rrpc/"

Answering = Callable[[bytes], Awaitable[bytes]]


class Calls:
    """Thing services called synchronously arrive this way too and go to their handlers first."""

    def __init__(self, connection: Channel, identity: Identity, inbox: Inbox, things: Things) -> None:
        self._connection, self._identity, self._things = connection, identity, things
        self._system: Answering | None = None
        self._custom: dict[str, Answering] = {}
        inbox.route(identity.sys("rrpc/request/+"), self._on_system)
        inbox.route(EXT + "#", self._on_custom)

    def on_call(self, handler: Answering) -> None:
        """System RRPC: `handler(request)` returns the answer."""
        self._system = handler

    async def on_custom(self, topic: str, handler: Answering, deadline: float) -> None:
        """RRPC on a topic of your own, such as `/{pk}/{dn}/user/rpc`. Raises SubscriptionRefused, DeadlineExceeded."""
        self._custom[topic] = handler
        try:
            await self._connection.subscribe(f"{EXT}+{topic}", 1, deadline)
        except DeviceError:
            del self._custom[topic]
            raise

    async def _on_system(self, topic: str, payload: bytes) -> None:
        answer = await self._things.answer("", payload)
        if answer is None and self._system is not None:
            answer = await self._system(payload)
        await self._reply(topic.replace("/rrpc/request/", "/rrpc/response/"), answer)

    async def _on_custom(self, topic: str, payload: bytes) -> None:
        inner = "/" + topic.removeprefix(EXT).partition("/")[2]
        handler = self._custom.get(inner)
        answer = await (handler(payload) if handler else self._things.answer(inner, payload))
        await self._reply(topic, answer)

    async def _reply(self, topic: str, answer: bytes | None) -> None:
        """On the connection that is there now: the one who waits does not wait for the next one."""
        if answer is None:
            log.warning("nobody answers the call on %s", topic)
            return
        await self._connection.publish(topic, answer, 0, 0)
