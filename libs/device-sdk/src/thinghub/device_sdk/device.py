"""A device, as an async context manager: inside it is connected, and a lost connection comes back by itself."""

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from thinghub.device_sdk.calls import Answering, Calls
from thinghub.device_sdk.clock import Clock
from thinghub.device_sdk.connection import Connection, Status
from thinghub.device_sdk.identity import Endpoint, Identity
from thinghub.device_sdk.inbox import Handler, Inbox
from thinghub.device_sdk.options import Options
from thinghub.device_sdk.ota import Ota
from thinghub.device_sdk.requests import Requests
from thinghub.device_sdk.shadow import Shadow
from thinghub.device_sdk.things import Things

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0


class Device:
    """One identity, one connection at a time.

        async with Device(identity, Endpoint.parse("127.0.0.1:1883")) as device:
            await device.publish(device.topic("update"), b"...")

    `things`, `shadow`, `ota` are the platform's services seen from here. Handlers given before entering miss nothing.
    Not to be entered twice: make another one.
    """

    def __init__(
        self,
        identity: Identity,
        endpoint: Endpoint,
        options: Options | None = None,
        *,
        on_status: Status | None = None,
    ) -> None:
        self.identity = identity
        self._options = options or Options()
        deadline = self._options.deadline
        self._inbox = Inbox(self._options.inbox, self._options.handler_deadline)
        self._connection = Connection(identity, endpoint, self._options, self._inbox, on_status)
        self._requests = Requests(self._connection, identity, self._options.waiting)
        self._inbox.first(self._requests.takes)
        self.things = Things(self._connection, identity, self._requests, self._inbox, deadline)
        self._clock = Clock(self._connection, identity, self._inbox)
        self._calls = Calls(self._connection, identity, self._inbox, self.things)
        self.shadow = Shadow(self._connection, identity, self._inbox, deadline)
        self.ota = Ota(self._connection, identity, self._requests, self._inbox, self._spawn, deadline)
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeping: asyncio.Task[None] | None = None
        self._entered = False

    async def __aenter__(self) -> Self:
        """Raises ConnectRefused at once when it is permanent, CannotConnect after `connect_deadline`."""
        if self._entered:
            raise RuntimeError("a Device is entered once")
        self._entered = True
        try:
            self._spawn(self._inbox.run())
            self._keeping = asyncio.create_task(self._connection.run())
            await self._connection.wait_up(self._options.connect_deadline)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def connected(self) -> bool:
        return self._connection.connected

    @property
    def dropped(self) -> int:
        """QoS 0 messages that came while the inbox was full."""
        return self._inbox.dropped

    def topic(self, short: str) -> str:
        """The device's custom topic: `update` gives `/{pk}/{dn}/user/update`."""
        return self.identity.custom(short)

    async def wait_connected(self, deadline: float | None = None) -> None:
        """Raises CannotConnect when time is up, ConnectRefused when it is over."""
        await self._connection.wait_up(deadline or self._options.deadline)

    async def wait_ended(self) -> None:
        """Raises what ended the connection for good, when that happens: ConnectRefused, Closed."""
        await self._connection.wait_ended()

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, deadline: float | None = None) -> None:
        """QoS 1 returns when the platform has the message, over as many connections as that takes. QoS 0 needs one now.

        A publish that the platform refuses by permission or quota is acknowledged too (MQTT 3.1.1 cannot tell).
        Raises DeadlineExceeded (it may have arrived all the same), NotConnected, TooManyWaiting, ConnectRefused."""
        await self._connection.publish(topic, payload, qos, deadline or self._options.deadline)

    async def subscribe(self, filter_: str, handler: Handler, *, qos: int = 1, deadline: float | None = None) -> None:
        """`handler(topic, payload)` for each message, in order; QoS 1 is acknowledged when it returns, so a message may
        come again after a break. Before entering, it is subscribed with the first connection.

        Raises SubscriptionRefused, DeadlineExceeded."""
        self._inbox.route(filter_, handler)
        if not self._entered:
            self._connection.subscribe_later(filter_, qos)
            return
        try:
            await self._connection.subscribe(filter_, qos, deadline or self._options.deadline)
        except BaseException:
            self._inbox.unroute(filter_)
            raise

    async def unsubscribe(self, filter_: str, *, deadline: float | None = None) -> None:
        await self._connection.unsubscribe(filter_, deadline or self._options.deadline)
        self._inbox.unroute(filter_)

    def on_call(self, handler: Answering) -> None:
        """System RRPC: `handler(request bytes)` returns the answer's bytes."""
        self._calls.on_call(handler)

    async def on_custom_call(self, topic: str, handler: Answering, *, deadline: float | None = None) -> None:
        """RRPC on a topic of the server's choice, such as `device.topic("rpc")`."""
        await self._calls.on_custom(topic, handler, deadline or self._options.deadline)

    async def ask(self, path: str, params: object, *, deadline: float | None = None) -> object:
        """Any question of the Alink kind that has no method here, such as `thing/config/get`: the reply's data.

        Raises ReplyError, DeadlineExceeded."""
        return await self._requests.ask(path, params, deadline or self._options.deadline)

    async def server_time(self, *, deadline: float | None = None) -> float:
        """The platform's clock, epoch milliseconds. Raises DeadlineExceeded."""
        return await self._clock.now(deadline or self._options.deadline)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stop(self) -> None:
        """The connection ends first, so that nothing is acknowledged that no handler has done."""
        try:
            if self._keeping is not None:
                await self._ended({self._keeping})
        finally:
            await self._ended(set(self._tasks))

    async def _ended(self, tasks: set[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        done, left = await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in left:
            log.error("%s does not end, a handler keeps it: %r", self.identity.device_name, task)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a task of %s failed", self.identity.device_name, exc_info=error)
