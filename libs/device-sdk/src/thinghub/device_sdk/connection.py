"""The connection as the device's code sees it: one that comes back.

A lost connection is made again after a wait (`backoff`), with the same subscriptions. A publish of QoS 1 that was not
acknowledged is sent again on the next connection until its deadline: at least once, never silently lost. A permanent
refusal (codes 1, 2, 4, 5) ends everything: every call, waiting or later, raises it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence

from thinghub.device_sdk.channel import check_publish
from thinghub.device_sdk.errors import (
    CannotConnect,
    Closed,
    ConnectionLost,
    ConnectRefused,
    DeviceError,
    NotConnected,
    SubscriptionRefused,
)
from thinghub.device_sdk.identity import Endpoint, Identity, Login, login
from thinghub.device_sdk.link import Link, Received
from thinghub.device_sdk.options import Options
from thinghub.device_sdk.waiting import Waiting

log = logging.getLogger(__name__)

# A limit of the platform (device-mqtt §1.4).
FILTERS_IN_ONE_SUBSCRIBE = 8

Status = Callable[[bool], None]


class Connection:
    """`received` is awaited with each message, `status(connected)` called at each change. `run` makes and keeps the
    connection."""

    def __init__(
        self, identity: Identity, endpoint: Endpoint, options: Options, received: Received, status: Status
    ) -> None:
        self.wanted = False
        self._identity, self._endpoint, self._options = identity, endpoint, options
        self._received, self._status = received, status
        self._subscriptions: dict[str, int] = {}
        self._link: Link | None = None
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._failure: DeviceError | None = None
        self._last_error: Exception | None = None
        self.slots = asyncio.Semaphore(options.in_flight)
        self._waiting = Waiting(options.in_flight + options.waiting)

    @property
    def connected(self) -> bool:
        return self._link is not None and not self._link.lost.is_set()

    @property
    def failure(self) -> DeviceError | None:
        """What ended it for good."""
        return self._failure

    async def run(self) -> None:
        """Until cancelled, or refused for good."""
        self.wanted = True
        try:
            await self._keep()
        except ConnectRefused as error:
            self._fail(error)
        except Exception as error:
            log.exception("the connection of %s ended by a defect", self._identity.device_name)
            self._fail(DeviceError(f"the connection ended: {error!r}"))
        finally:
            self._fail(Closed("the device is closed"))

    async def wait_up(self, deadline: float) -> None:
        """Raises ConnectRefused, CannotConnect with the last attempt's error as its cause."""
        try:
            async with asyncio.timeout(deadline):
                await self.up()
        except TimeoutError as error:
            raise CannotConnect(f"no connection within {deadline} s: {self._last_error}") from self._last_error or error

    async def wait_ended(self) -> None:
        """Until the connection ended for good; raises what ended it."""
        await self._ended.wait()
        assert self._failure is not None
        raise self._failure

    async def publish(self, topic: str, payload: bytes, qos: int, deadline: float) -> None:
        """QoS 1: returns after the PUBACK; QoS 0: after writing, raises NotConnected when there is no connection.

        Raises DeadlineExceeded, TooManyWaiting, ValueError for what no platform takes.
        """
        check_publish(topic, payload, qos)
        if qos == 0:
            await self._now().publish(topic, payload, 0)
            return
        async with self._waiting.turn(deadline, f"publish to {topic}"), self.slots:
            await self._repeat(lambda link: link.publish(topic, payload, 1))

    async def subscribe(self, filter_: str, qos: int, deadline: float) -> None:
        """Kept over reconnects. Raises SubscriptionRefused, DeadlineExceeded."""
        self._subscriptions[filter_] = qos
        try:
            async with self._waiting.turn(deadline, f"subscribe to {filter_}"):
                await self._repeat(lambda link: link.subscribe([(filter_, qos)]))
        except SubscriptionRefused:
            self._subscriptions.pop(filter_, None)
            raise

    def subscribe_later(self, filter_: str, qos: int) -> None:
        """With the next connection; for what is known before the first."""
        self._subscriptions[filter_] = qos

    async def unsubscribe(self, filter_: str, deadline: float) -> None:
        self._subscriptions.pop(filter_, None)
        async with self._waiting.turn(deadline, f"unsubscribe from {filter_}"):
            await self._repeat(lambda link: link.unsubscribe(filter_))

    async def _keep(self) -> None:
        attempt = 0
        while True:
            began = time.monotonic()
            try:
                await self._once()
            except ConnectRefused as error:
                if error.permanent:
                    raise
                self._last_error = error
            except (OSError, ConnectionLost) as error:
                self._last_error = error
            attempt = 0 if time.monotonic() - began >= self._options.stable else attempt + 1
            wait = self._options.backoff.delay(max(attempt - 1, 0), random.random())
            log.info("%s: %s; next attempt in %.1f s", self._identity.device_name, self._last_error, wait)
            await asyncio.sleep(wait)

    async def _once(self) -> None:
        """One connection from CONNECT to its end, which is always an exception."""
        link = Link(self._login(), self._options, self._received)
        try:
            await link.open(self._endpoint)
            await self.resubscribe(link, list(self._subscriptions.items()))
            self._link = link
            self._changed.set()
            self._tell(True)
            await link.wait_lost()
            raise ConnectionLost("the connection was closed by the other side")
        finally:
            was_up, self._link = self._link is link, None
            if was_up:
                self._tell(False)
            await link.close()

    def _login(self) -> Login:
        return login(
            self._identity,
            method=self._options.sign_method,
            timestamp=int(time.time() * 1000),
            ext=self._options.ext,
            secure=self._endpoint.tls is not None,
        )

    async def resubscribe(self, link: Link, wanted: Sequence[tuple[str, int]]) -> None:
        """What is refused is logged, and tried again with the next one. Raises ConnectionLost, TimeoutError."""
        async with asyncio.timeout(self._options.attempt_deadline):
            for begin in range(0, len(wanted), FILTERS_IN_ONE_SUBSCRIBE):
                try:
                    await link.subscribe(wanted[begin : begin + FILTERS_IN_ONE_SUBSCRIBE])
                except SubscriptionRefused as error:
                    log.warning("%s: %s", self._identity.device_name, error)

    async def _repeat(self, action: Callable[[Link], Awaitable[None]]) -> None:
        while True:
            link = await self.up()
            try:
                return await action(link)
            except ConnectionLost:
                continue

    async def up(self) -> Link:
        """The connection of the moment, or the next one. Raises what ended it for good."""
        while True:
            if self._failure is not None:
                raise self._failure
            if self._link is not None and not self._link.lost.is_set():
                return self._link
            self._changed.clear()
            await self._changed.wait()

    def _now(self) -> Link:
        if self._failure is not None:
            raise self._failure
        if self._link is None or self._link.lost.is_set():
            raise NotConnected("there is no connection now")
        return self._link

    def _fail(self, failure: DeviceError) -> None:
        if self._failure is None:
            self._failure = failure
        self._changed.set()
        self._ended.set()

    def _tell(self, connected: bool) -> None:
        log.info("%s is %s", self._identity.device_name, "connected" if connected else "disconnected")
        try:
            self._status(connected)
        except Exception:
            log.exception("the status callback failed")
