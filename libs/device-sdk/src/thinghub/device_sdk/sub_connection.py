"""A sub-device's presence on its gateway's connection: like a connection of its own that comes and goes with log-in.

    idle --log_in wanted--> waiting --logged_in(link)--> online --the connection is lost, or 520--> waiting
    waiting or online --refused, or ended by the platform--> failed: every call raises why, until the next log-in

Calls wait while it waits, as a device's do while its connection is away. `logins` makes the log-ins.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from thinghub.device_sdk.channel import check_publish
from thinghub.device_sdk.connection import Connection, Status
from thinghub.device_sdk.errors import CannotConnect, ConnectionLost, DeviceError, NotConnected, SubscriptionRefused
from thinghub.device_sdk.identity import Identity
from thinghub.device_sdk.link import Link
from thinghub.device_sdk.options import Options
from thinghub.device_sdk.waiting import Waiting

log = logging.getLogger(__name__)


class SubConnection:
    """`attempts` failed in a row, the next not before `due`, logged in `since` (the loop's clock); `alone`: not in a
    batch, which one bad log-in would spoil for all."""

    def __init__(self, connection: Connection, identity: Identity, options: Options, status: Status | None) -> None:
        self.identity = identity
        self.subscriptions: dict[str, int] = {}
        self.attempts, self.due, self.since, self.alone = 0, 0.0, 0.0, False
        self._connection, self._status = connection, status
        self._link: Link | None = None
        self._changed = asyncio.Event()
        self._wanted = False
        self._told = False
        self._failure: DeviceError | None = None
        self._waiting = Waiting(options.in_flight + options.waiting)

    @property
    def wanted(self) -> bool:
        return self._wanted

    @property
    def connected(self) -> bool:
        return self._link is not None and not self._link.lost.is_set()

    def want(self) -> None:
        """To be logged in from now on, whatever was before."""
        self._wanted, self._failure = True, None
        self.attempts, self.due, self.alone = 0, 0.0, False

    def unwant(self) -> None:
        """Calls raise from now on; it is logged out when its turn comes."""
        self._wanted = False
        self._changed.set()

    def logged_in(self, link: Link, now: float) -> None:
        self._link, self.since, self.alone = link, now, False
        self._change()

    def lost(self) -> None:
        """It has no session any more, and wants one."""
        self._link = None
        self._change()

    def end(self, failure: DeviceError | None) -> None:
        """No session, and none wanted; `failure` is what calls raise until the next log-in."""
        self._wanted, self._link, self._failure = False, None, failure
        self._change()

    def connection_changed(self) -> None:
        """The gateway's came or went."""
        self._change()

    async def wait_up(self, deadline: float) -> None:
        try:
            async with asyncio.timeout(deadline):
                await self.up()
        except TimeoutError as error:
            raise CannotConnect(f"{self.identity.device_name} is not logged in within {deadline} s") from error

    async def publish(self, topic: str, payload: bytes, qos: int, deadline: float) -> None:
        check_publish(topic, payload, qos)
        if qos == 0:
            if not self.connected or self._link is None:
                failure = self._connection.failure or self._failure
                raise failure or NotConnected(f"{self.identity.device_name} is not logged in now")
            await self._link.publish(topic, payload, 0)
            return

        async def send(link: Link) -> None:
            async with self._connection.slots:
                await link.publish(topic, payload, 1)

        async with self._waiting.turn(deadline, f"publish to {topic}"):
            await self._repeat(send)

    async def subscribe(self, filter_: str, qos: int, deadline: float) -> None:
        self.subscriptions[filter_] = qos
        try:
            async with self._waiting.turn(deadline, f"subscribe to {filter_}"):
                await self._repeat(lambda link: link.subscribe([(filter_, qos)]))
        except SubscriptionRefused:
            self.subscriptions.pop(filter_, None)
            raise

    def subscribe_later(self, filter_: str, qos: int) -> None:
        self.subscriptions[filter_] = qos

    async def unsubscribe(self, filter_: str, deadline: float) -> None:
        self.subscriptions.pop(filter_, None)
        async with self._waiting.turn(deadline, f"unsubscribe from {filter_}"):
            await self._repeat(lambda link: link.unsubscribe(filter_))

    async def up(self) -> Link:
        """The connection it is logged in on. Raises what ended it, NotConnected when it was not asked to log in."""
        while True:
            if (failure := self._connection.failure or self._failure) is not None:
                raise failure
            if not self._wanted:
                raise NotConnected(f"{self.identity.device_name} is not logged in")
            if self._link is not None and not self._link.lost.is_set():
                return self._link
            self._changed.clear()
            await self._changed.wait()

    async def _repeat(self, action: Callable[[Link], Awaitable[None]]) -> None:
        """On the connection it is logged in on and no other: the next one does not know it yet."""
        while True:
            link = await self.up()
            try:
                return await action(link)
            except ConnectionLost:
                continue

    def _change(self) -> None:
        self._changed.set()
        if self._told == self.connected:
            return
        self._told = self.connected
        log.info("%s is logged %s", self.identity.device_name, "in" if self._told else "out")
        if self._status is None:
            return
        try:
            self._status(self._told)
        except Exception:
            log.exception("the status callback failed")
