"""A device, as an async context manager: inside it is connected, and a lost connection comes back by itself."""

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from thinghub.device_sdk.api import DeviceApi
from thinghub.device_sdk.connection import Connection, Status
from thinghub.device_sdk.gateway import Gateway
from thinghub.device_sdk.identity import Endpoint, Identity
from thinghub.device_sdk.inbox import Inbox
from thinghub.device_sdk.options import Options

log = logging.getLogger(__name__)

STOP_SECONDS = 5.0


class Device(DeviceApi):
    """One identity, one connection at a time.

        async with Device(identity, Endpoint.parse("127.0.0.1:1883")) as device:
            await device.publish(device.topic("update"), b"...")

    `things`, `shadow`, `ota` are the platform's services seen from here; `gateway` is what it can do for devices that
    have no connection of their own. Handlers given before entering miss nothing.
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
        options = options or Options()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connection = Connection(identity, endpoint, options, self._received, self._on_status)
        inbox = Inbox(options.inbox, options.handler_deadline)
        super().__init__(identity, self._connection, inbox, options, self._spawn)
        self.gateway = Gateway(identity, self._connection, self._requests, inbox, options, self._spawn)
        self._status = on_status
        self._keeping: asyncio.Task[None] | None = None
        self._entered = False

    async def __aenter__(self) -> Self:
        """Raises ConnectRefused at once when it is permanent, CannotConnect after `connect_deadline`."""
        if self._entered:
            raise RuntimeError("a Device is entered once")
        self._entered = True
        try:
            self._spawn(self._inbox.run())
            self._spawn(self.gateway.run())
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

    async def wait_ended(self) -> None:
        """Raises what ended the connection for good, when that happens: ConnectRefused, Closed."""
        await self._connection.wait_ended()

    async def _received(self, topic: str, payload: bytes, qos: int) -> None:
        """A sub-device has an inbox of its own, so that none waits for another's handler."""
        await (self.gateway.inbox(topic) or self._inbox).receive(topic, payload, qos)

    def _on_status(self, connected: bool) -> None:
        self.gateway.connection_changed()
        if self._status is not None:
            self._status(connected)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

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
