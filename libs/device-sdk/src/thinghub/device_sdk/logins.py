"""Keeps a gateway's sub-devices logged in: all of them again after each reconnect, in batches, paced.

One task looks who is wanted and not logged in on the connection of the moment. The platform takes 50 in a batch and so
many log-ins a second of a gateway. A reply that refuses some of a batch names them, each with a code; after one that
names nobody, its members are logged in one by one, so that each gets its own answer. What may pass (429, 500, no reply)
is tried again after a wait that grows (`backoff`); any other refusal is final, until the log-in is asked for again.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence

from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.sub_devices import MAX_BATCH, SubDeviceName
from thinghub.device_sdk.connection import Connection
from thinghub.device_sdk.errors import (
    ConnectionLost,
    DeadlineExceeded,
    DeviceError,
    ReplyError,
    SessionError,
    session_error,
)
from thinghub.device_sdk.identity import Identity, sub_device_proof
from thinghub.device_sdk.link import Link
from thinghub.device_sdk.options import Options
from thinghub.device_sdk.requests import Requests
from thinghub.device_sdk.sub_connection import SubConnection

log = logging.getLogger(__name__)

PASSING = frozenset({Alink.TOO_MANY_REQUESTS, Alink.SYSTEM_ERROR})

Tell = Callable[[SessionError], None]


class Logins:
    """`members` gives the sub-devices there are; `refused` is told of those that are refused."""

    def __init__(
        self,
        identity: Identity,
        connection: Connection,
        requests: Requests,
        options: Options,
        members: Callable[[], Iterable[SubConnection]],
        refused: Tell,
    ) -> None:
        self._topic = identity.own("/ext/session") + "/combine/"
        self._connection, self._requests, self._options = connection, requests, options
        self._members, self._refused = members, refused
        self._work = asyncio.Event()
        self._asking = asyncio.Lock()  # a log-out does not overtake the log-in before it

    def wake(self) -> None:
        self._work.set()

    async def run(self) -> None:
        """Until cancelled, or the connection has ended for good."""
        while True:
            try:
                link = await self._connection.up()
            except DeviceError as error:
                for member in self._members():
                    member.end(error)
                return
            self._work.clear()
            batch, wait = self._next()
            if not batch:
                await self._rest(wait)
                continue
            async with self._asking:
                await self._log_in(link, batch)
            await asyncio.sleep(len(batch) / self._options.logins_per_second)

    async def log_out(self, gone: Sequence[SubConnection], deadline: float) -> None:
        """In batches. Raises ReplyError, DeadlineExceeded."""
        for member in gone:
            member.unwant()
        try:
            async with asyncio.timeout(deadline), self._asking:
                online = [member.identity for member in gone if member.connected]
                for member in gone:
                    member.end(None)
                for begin in range(0, len(online), MAX_BATCH):
                    await self._log_out(online[begin : begin + MAX_BATCH], deadline)
        except TimeoutError as error:
            raise DeadlineExceeded(f"log-out of {len(gone)} sub-devices: no reply within {deadline} s") from error

    async def _log_out(self, online: list[Identity], deadline: float) -> None:
        named = names_of(identity.name for identity in online)
        what, params = ("logout", named[0]) if len(named) == 1 else ("batch_logout", named)
        if not self._connection.connected:
            return  # the sessions went with the connection
        with contextlib.suppress(ConnectionLost):
            await self._ask(await self._connection.up(), what, params, deadline)

    def again(self, member: SubConnection) -> None:
        """It lost its session: logged in at once the first time, later and later while that goes on."""
        now = asyncio.get_running_loop().time()
        if now - member.since >= self._options.stable:
            member.attempts = 0
        member.lost()
        self._postpone(member, member.attempts)
        member.attempts += 1
        self.wake()

    def _next(self) -> tuple[list[SubConnection], float | None]:
        """Whom to log in now; else how long to wait for the next."""
        now = asyncio.get_running_loop().time()
        missing = [member for member in self._members() if member.wanted and not member.connected]
        due = [member for member in missing if member.due <= now]
        if together := [member for member in due if not member.alone]:
            return together[:MAX_BATCH], None
        if due:
            return due[:1], None
        return [], min((member.due - now for member in missing), default=None)

    async def _rest(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._work.wait()
        except TimeoutError:
            return

    async def _log_in(self, link: Link, batch: list[SubConnection]) -> None:
        try:
            try:
                await self._ask(link, *self._question([member.identity for member in batch]), self._options.deadline)
            except ReplyError as error:
                await self._refused_some(link, batch, error)
            else:
                await self._subscribe(link, batch)
                self._logged_in(link, batch)
        except ConnectionLost:
            return  # all again on the next one
        except (DeviceError, TimeoutError) as error:
            log.info("log-in of %d sub-devices: %s", len(batch), error)
            for member in batch:
                self._postpone(member, member.attempts + 1)

    def _logged_in(self, link: Link, batch: list[SubConnection]) -> None:
        now = asyncio.get_running_loop().time()
        for member in batch:
            member.logged_in(link, now)

    async def _refused_some(self, link: Link, batch: list[SubConnection], error: ReplyError) -> None:
        """A batch may say who was refused, each with a code; the others of it are logged in."""
        told = _codes(error) if len(batch) > 1 else {batch[0].identity.name: (error.code, error.message)}
        if not told:
            for member in batch:
                member.alone = True
            return
        admitted = [member for member in batch if member.identity.name not in told]
        admitted += [member for member in batch if told.get(member.identity.name, (0,))[0] == Alink.DUPLICATE_LOGIN]
        for member in batch:
            if member not in admitted:
                self._refuse(member, *told[member.identity.name])
        if admitted:
            await self._subscribe(link, admitted)
            self._logged_in(link, admitted)

    def _refuse(self, member: SubConnection, code: int, message: str) -> None:
        if code in PASSING:
            self._postpone(member, member.attempts + 1)
            return
        refusal = session_error(member.identity.name, code, message)
        member.end(refusal)
        self._refused(refusal)

    async def _subscribe(self, link: Link, batch: list[SubConnection]) -> None:
        await self._connection.resubscribe(link, [each for one in batch for each in one.subscriptions.items()])

    def _question(self, identities: list[Identity]) -> tuple[str, object]:
        proofs = proofs_of(identities, self._options)
        if len(proofs) == 1:
            return "login", proofs[0]
        return "batch_login", {"signMethod": self._options.sign_method.value, "deviceList": proofs}

    async def _ask(self, link: Link, what: str, params: object, deadline: float) -> None:
        """On this very connection. Raises ConnectionLost when it ends first, ReplyError, DeadlineExceeded."""

        async def send(topic: str, body: bytes) -> None:
            await link.publish(topic, body, 1)

        asking = asyncio.ensure_future(
            self._requests.ask_on(self._topic + what, f"combine.{what}", params, send, deadline)
        )
        lost = asyncio.ensure_future(link.lost.wait())
        try:
            await asyncio.wait({asking, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise ConnectionLost(f"the connection was lost before the reply to {what}")
            asking.result()
        finally:
            asking.cancel()
            lost.cancel()

    def _postpone(self, member: SubConnection, attempts: int) -> None:
        member.attempts = attempts
        wait = self._options.backoff.delay(attempts - 1, random.random()) if attempts else 0.0
        member.due = asyncio.get_running_loop().time() + wait


def proofs_of(identities: Iterable[Identity], options: Options) -> list[dict[str, str]]:
    now = int(time.time() * 1000)
    return [sub_device_proof(identity, method=options.sign_method, timestamp=now) for identity in identities]


def _codes(error: ReplyError) -> dict[SubDeviceName, tuple[int, str]]:
    """Who was refused, as the data of a batch's reply says it; empty when it says nothing of the kind."""
    entries = error.data if isinstance(error.data, list) else []
    return {
        SubDeviceName(str(one.get("productKey")), str(one.get("deviceName"))): (one["code"], str(one.get("message")))
        for one in entries
        if isinstance(one, dict) and isinstance(one.get("code"), int)
    }


def names_of(devices: Iterable[SubDeviceName]) -> list[dict[str, str]]:
    return [{"productKey": one.product_key, "deviceName": one.device_name} for one in devices]
