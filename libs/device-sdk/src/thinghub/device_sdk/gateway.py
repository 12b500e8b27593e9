"""A gateway: devices that have no connection of their own, over this one (device-mqtt §10).

    sensor = device.gateway.sub_device(Identity("pk", "sensor-1", "secret"))
    async with device:
        await device.gateway.add([sensor])       # tells the platform that it is behind this gateway; once
        await sensor.login()
        await sensor.things.post_properties({"Temp": 21.5})

What a sub-device's secret signs stays true for the platform alone: the secret never leaves the gateway.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from thinghub.device_protocol.alink import REPLY, AlinkError, parse_answer, parse_request, reply
from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.sub_devices import MAX_BATCH, SubDeviceName
from thinghub.device_sdk.connection import Connection, Status
from thinghub.device_sdk.errors import SessionError, session_error
from thinghub.device_sdk.identity import Identity
from thinghub.device_sdk.inbox import Inbox
from thinghub.device_sdk.logins import Logins, names_of, proofs_of
from thinghub.device_sdk.options import Options
from thinghub.device_sdk.requests import Requests
from thinghub.device_sdk.sub_connection import SubConnection
from thinghub.device_sdk.sub_device import SubDevice

log = logging.getLogger(__name__)

MAX_SUB_DEVICES = 2000  # what the platform takes of a gateway (device-mqtt §1.4)

# Sessions that ended with these are made again at once: nothing speaks against the sub-device.
PASSING_NOTICES = frozenset({Alink.NO_SESSION, Alink.SYSTEM_ERROR})

_Item = TypeVar("_Item")

Failing = Callable[[SessionError], Awaitable[None]]
Adding = Callable[[Sequence[SubDeviceName]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class TopologyChange:
    """`status` is 0 created, 1 deleted, 2 enabled, 8 disabled."""

    status: int
    devices: tuple[SubDeviceName, ...]


Changing = Callable[[TopologyChange], Awaitable[None]]


class Gateway:
    def __init__(
        self,
        identity: Identity,
        connection: Connection,
        requests: Requests,
        inbox: Inbox,
        options: Options,
        spawn: Callable[[Any], "asyncio.Task[None]"],
    ) -> None:
        self._identity, self._connection, self._requests = identity, connection, requests
        self._options, self._spawn = options, spawn
        self._devices: dict[tuple[str, str], SubDevice] = {}
        self._inboxes: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._failing: Failing | None = None
        self._changing: Changing | None = None
        self._adding: Adding | None = None
        self._logins = Logins(identity, connection, requests, options, self._presences, self._tell_beside)
        self._notices = (identity.own("/ext/error"), identity.own("/ext/session") + "/combine/logout_reply")
        inbox.first(self._takes)
        for notice in self._notices:
            inbox.route(notice, self._on_notice)
        inbox.route(identity.sys("thing/topo/change"), self._on_change)
        inbox.route(identity.sys("thing/topo/add/notify"), self._on_add)

    def sub_device(self, identity: Identity, *, on_status: Status | None = None) -> SubDevice:
        """Known here from now on, not yet to the platform. `on_status(logged in)` is called at each change.

        Raises ValueError for one that is known already, and beyond 2,000."""
        name = (identity.product_key, identity.device_name)
        if name in self._devices or identity.name == self._identity.name:
            raise ValueError(f"{identity.device_name} is known already")
        if len(self._devices) >= MAX_SUB_DEVICES:
            raise ValueError(f"a gateway has at most {MAX_SUB_DEVICES} sub-devices")
        presence = SubConnection(self._connection, identity, self._options, on_status)
        inbox = Inbox(self._options.inbox, self._options.handler_deadline)
        made = SubDevice(identity, presence, inbox, self._options, self._spawn, self._log_in_one, self._log_out_one)
        self._devices[name] = made
        return made

    async def forget(self, device: SubDevice) -> None:
        """Logs it out, and the object is of no use any more."""
        await device.logout()
        name = (device.identity.product_key, device.identity.device_name)
        self._devices.pop(name, None)
        if (running := self._inboxes.pop(name, None)) is not None:
            running.cancel()

    async def add(self, devices: Iterable[SubDevice], *, deadline: float | None = None) -> None:
        """Tells the platform that these are behind this gateway, signed with their secrets. Adding what is there
        already changes nothing. Raises ReplyError, DeadlineExceeded."""
        identities = [device.identity for device in devices]
        for some in _batches(identities):
            await self._ask("thing/topo/add", proofs_of(some, self._options), deadline)

    async def remove(self, devices: Iterable[SubDevice | SubDeviceName], *, deadline: float | None = None) -> None:
        """They are not behind this gateway any more, and their sessions end. Raises ReplyError, DeadlineExceeded."""
        names = [one.identity.name if isinstance(one, SubDevice) else one for one in devices]
        for some in _batches(names):
            await self._ask("thing/topo/delete", names_of(some), deadline)
            for name in some:
                if (known := self._devices.get((name.product_key, name.device_name))) is not None:
                    known.presence.end(None)

    async def topology(self, *, deadline: float | None = None) -> list[SubDeviceName]:
        """Who is behind this gateway, as the platform knows it. Raises ReplyError, DeadlineExceeded."""
        return _names(await self._ask("thing/topo/get", {}, deadline))

    async def login(
        self, devices: Iterable[SubDevice], *, deadline: float | None = None
    ) -> dict[SubDeviceName, SessionError]:
        """In batches; returns those that were refused, and why. The pace is added to the deadline that is the default.
        From now on the others are logged in, also after breaks of the connection.

        Raises CannotConnect when some have no answer yet; they go on being tried."""
        wanted = list(devices)
        for device in wanted:
            self._want(device)
        self._logins.wake()
        seconds = deadline or self._options.deadline + len(wanted) / self._options.logins_per_second
        outcomes = await asyncio.gather(*(one.wait_connected(seconds) for one in wanted), return_exceptions=True)
        refused: dict[SubDeviceName, SessionError] = {}
        for outcome in outcomes:
            if isinstance(outcome, SessionError):
                refused[outcome.device] = outcome
            elif outcome is not None:
                raise outcome
        return refused

    async def logout(self, devices: Iterable[SubDevice], *, deadline: float | None = None) -> None:
        """In batches. Raises ReplyError, DeadlineExceeded."""
        await self._logins.log_out([one.presence for one in devices], deadline or self._options.deadline)

    def on_error(self, handler: Failing) -> None:
        """`handler(error)` when the platform ends or refuses a sub-device's session. After NoSession and 500 it is
        logged in again by itself; after the others the sub-device stays logged out until `login`."""
        self._failing = handler

    def on_topology_change(self, handler: Changing) -> None:
        """`handler(change)` when a server changed what is behind this gateway."""
        self._changing = handler

    def on_add_requested(self, handler: Adding) -> None:
        """`handler(names)` when a server asks this gateway to add these; it answers with `add` if it has them."""
        self._adding = handler

    def inbox(self, topic: str) -> Inbox | None:
        """Of the sub-device that the topic names; None: it is the gateway's own."""
        if not self._devices:
            return None
        levels = topic.split("/")
        own = (self._identity.product_key, self._identity.device_name)
        for pair in pairwise(levels):
            if pair == own:
                return None
            if (found := self._devices.get(pair)) is not None:
                return found.inbox
        return None

    def connection_changed(self) -> None:
        """The gateway's connection came or went."""
        for presence in self._presences():
            presence.connection_changed()
        self._logins.wake()

    async def run(self) -> None:
        """Keeps the sub-devices logged in until cancelled."""
        await self._logins.run()

    def _presences(self) -> Iterator[SubConnection]:
        return iter([device.presence for device in self._devices.values()])

    def _want(self, device: SubDevice) -> None:
        name = (device.identity.product_key, device.identity.device_name)
        if name not in self._inboxes:
            self._inboxes[name] = self._spawn(device.inbox.run())
        device.presence.want()

    async def _log_in_one(self, device: SubDevice, deadline: float) -> None:
        for refusal in (await self.login([device], deadline=deadline)).values():
            raise refusal

    async def _log_out_one(self, device: SubDevice, deadline: float) -> None:
        await self.logout([device], deadline=deadline)

    async def _ask(self, path: str, params: object, deadline: float | None) -> object:
        return await self._requests.ask(path, params, deadline or self._options.deadline)

    def _takes(self, topic: str, payload: bytes) -> bool:
        """The state changes at once; the handler is told in its turn."""
        for error in self._errors(topic, payload):
            device = self._devices.get((error.device.product_key, error.device.device_name))
            if device is None or not device.presence.wanted:
                continue
            if error.code in PASSING_NOTICES:
                self._logins.again(device.presence)
            else:
                device.presence.end(error)
        return False

    async def _on_notice(self, topic: str, payload: bytes) -> None:
        for error in self._errors(topic, payload):
            await self._tell(error)

    def _errors(self, topic: str, payload: bytes) -> list[SessionError]:
        """`/ext/error`, or as older platforms say it: a reply to a log-out that nobody asked for."""
        if topic not in self._notices:
            return []
        try:
            answer = parse_answer(payload)
        except AlinkError:
            return []
        if answer.code == Alink.SUCCESS:
            return []
        return [session_error(name, answer.code, answer.message) for name in _names(answer.data)]

    def _tell_beside(self, error: SessionError) -> None:
        """Beside the log-ins, so that a handler may log in and wait for it."""
        self._spawn(self._tell_guarded(error))

    async def _tell_guarded(self, error: SessionError) -> None:
        try:
            async with asyncio.timeout(self._options.handler_deadline):
                await self._tell(error)
        except Exception:
            log.exception("the handler of errors failed")

    async def _tell(self, error: SessionError) -> None:
        if self._failing is not None:
            await self._failing(error)

    async def _on_change(self, topic: str, payload: bytes) -> None:
        request = parse_request(payload)
        params: Any = request.params if isinstance(request.params, dict) else {}
        if self._changing is not None:
            await self._changing(TopologyChange(int(params.get("status", -1)), tuple(_names(params.get("subList")))))
        await self._answer(topic, payload)

    async def _on_add(self, topic: str, payload: bytes) -> None:
        await self._answer(topic, payload)
        if self._adding is not None:
            await self._adding(_names(parse_request(payload).params))

    async def _answer(self, topic: str, payload: bytes) -> None:
        answer = reply(parse_request(payload), Alink.SUCCESS)
        await self._connection.publish(topic + REPLY, answer, 1, self._options.deadline)


def _names(data: object) -> list[SubDeviceName]:
    """Of a list of objects, or of one; what names no device is left out."""
    entries = data if isinstance(data, list) else [data]
    found = [(one.get("productKey"), one.get("deviceName")) for one in entries if isinstance(one, dict)]
    return [SubDeviceName(pk, dn) for pk, dn in found if isinstance(pk, str) and isinstance(dn, str)]


def _batches(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for begin in range(0, len(items), MAX_BATCH):
        yield items[begin : begin + MAX_BATCH]
