"""Sub-devices: what gateway devices ask on `/ext/session/{pk}/{dn}/combine/...` (device-mqtt §10).

    submit (as it comes) ──> a queue a connection ──> turns of many connections ──> Logins, or sessions closed
                                                                               ──> replies on the topic + `_reply`

What one connection asks is done in its order; connections do not wait for each other. A turn takes what waits of all
free connections, so that a thousand gateways that return cost few calls; one connection is served at the contract's
pace and rests after each turn. Bounded by sub-devices that wait, for all and for each connection: beyond that the
answer is 429 at once. What waits behind a connection that closed is forgotten.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.logins import LOGOUT, OK, Step, outcome
from thinghub.connection_gateway.domain.outcomes import Outcome
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.ports import Count
from thinghub.connection_gateway.service.attempts import Attempts
from thinghub.connection_gateway.service.closing import Closing
from thinghub.connection_gateway.service.logins import Login, Logins
from thinghub.connection_gateway.service.pushes import Push, Pushes
from thinghub.connection_gateway.service.refusals import Refusals
from thinghub.device_protocol.alink import REPLY, AlinkError, Request, parse_request, reply
from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.sub_devices import (
    MAX_BATCH,
    MalformedSubDevice,
    SubDeviceName,
    SubDeviceProof,
    read_names,
    read_proofs,
)

BATCH = 512
WORKERS = 4
MAX_WAITING = 20_000
MAX_WAITING_HERE = 2_000
# More than a batch with the longest members; what is longer is not read.
MAX_PAYLOAD = 64 * 1024

log = logging.getLogger("thinghub.connection_gateway.sub_devices")


@dataclass(frozen=True, slots=True)
class SessionMessage:
    """As it came, from the session of `handle`."""

    handle: int
    topic: str
    payload: bytes
    qos: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """Understood. A log-in has proofs, a log-out names."""

    gateway: Session
    step: Step
    topic: str
    qos: int
    request: Request
    named: Sequence[SubDeviceProof] | Sequence[SubDeviceName]

    @property
    def devices(self) -> list[Device]:
        return [Device(one.product_key, one.device_name) for one in self.named]

    def logins(self) -> list[Login]:
        return [Login(self.gateway, one) for one in self.named if isinstance(one, SubDeviceProof)]


class SubDevices:
    """`per_second`: sub-devices of one connection; 0: no pace."""

    def __init__(
        self,
        logins: Logins,
        table: SessionTable,
        closing: Closing,
        pushes: Pushes,
        refusals: Refusals,
        attempts: Attempts,
        per_second: int,
        count: Count,
    ) -> None:
        self._logins = logins
        self._table = table
        self._closing = closing
        self._pushes = pushes
        self._refusals = refusals
        self._attempts = attempts
        self._per_second = per_second
        self._count = count
        self._queues: dict[int, deque[_Asked]] = {}
        # Connections with something to do that no worker is doing; the others of `_queues` are in a worker's hands, or
        # rest.
        self._free: deque[int] = deque()
        self._waiting = 0
        self._wake = asyncio.Semaphore(0)
        self._stopping = False

    def submit(self, messages: Iterable[SessionMessage]) -> None:
        """Takes what gateways ask, in their order; what cannot be done at all is answered at once."""
        for message in messages:
            gateway = self._table.by_handle(message.handle)
            if gateway is None:
                continue
            asked, why = _understood(gateway, message)
            why = why or self._not_now(asked)
            if why:
                self._refuse(asked, why)
            else:
                self._add(asked)

    def closed(self, handles: Iterable[int]) -> None:
        """These connections' own sessions are over: what waits needs no work."""
        for handle in handles:
            waiting = self._queues.get(handle)
            if waiting:
                self._waiting -= _size(waiting)
                waiting.clear()

    def stop(self) -> None:
        """Nobody logs in from now on; what waits is forgotten with its connection."""
        self._stopping = True
        self.closed(list(self._queues))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())

    def __len__(self) -> int:
        return self._waiting

    def _not_now(self, asked: _Asked) -> str:
        if self._stopping:
            return "stopping"
        here, many = _size(self._queues.get(asked.gateway.handle, ())), len(asked.named)
        return "overloaded" if self._waiting + many > MAX_WAITING or here + many > MAX_WAITING_HERE else ""

    def _refuse(self, asked: _Asked, why: str) -> None:
        """The whole of it."""
        if asked.named:
            self._answer([(asked, [(device, why) for device in asked.devices])])
        else:
            self._note(asked, asked.gateway.device, why)
            self._reply([(asked, *outcome(asked.step, [], why))])

    def _add(self, asked: _Asked) -> None:
        handle = asked.gateway.handle
        if handle not in self._queues:
            self._queues[handle] = deque()
            self._free.append(handle)
        self._queues[handle].append(asked)
        self._waiting += len(asked.named)
        self._wake.release()

    async def _work(self) -> None:
        while True:
            await self._wake.acquire()
            while turn := self._take():
                try:
                    await self._do([asked for part in turn.values() for asked in part])
                finally:
                    self._give_back(turn)

    def _take(self) -> dict[int, list[_Asked]]:
        """What may be done together: of each free connection its next requests, up to one that names a device again."""
        turn: dict[int, list[_Asked]] = {}
        room = BATCH
        while self._free and room > 0:
            handle = self._free.popleft()
            turn[handle] = part = self._part(self._queues[handle], min(room, self._per_second or room))
            room -= _size(part)
        return turn

    def _part(self, queue: deque[_Asked], room: int) -> list[_Asked]:
        part, seen = [], set[Device]()
        while queue and len(seen) < room and seen.isdisjoint(queue[0].devices):
            part.append(queue.popleft())
            seen.update(part[-1].devices)
        self._waiting -= len(seen)
        return part

    def _give_back(self, turn: Mapping[int, Sequence[_Asked]]) -> None:
        loop = asyncio.get_running_loop()
        for handle, part in turn.items():
            loop.call_later(_size(part) / self._per_second if self._per_second else 0, self._rested, handle)

    def _rested(self, handle: int) -> None:
        if self._queues[handle]:
            self._free.append(handle)
            self._wake.release()
        else:
            del self._queues[handle]

    async def _do(self, turn: Sequence[_Asked]) -> None:
        ins, outs = [one for one in turn if one.step.is_login], [one for one in turn if not one.step.is_login]
        self._answer([(asked, self._log_out(asked)) for asked in outs])
        logins = [login for asked in ins for login in asked.logins()]
        try:
            reasons = iter(await self._logins.admit(logins))
        except Exception as error:
            log.error("sub-devices could not be logged in", exc_info=error)
            reasons = iter(["internal"] * len(logins))
        self._answer([(asked, [(device, next(reasons)) for device in asked.devices]) for asked in ins])

    def _log_out(self, asked: _Asked) -> list[tuple[Device, str]]:
        """Ends sessions on this very connection."""
        results = []
        for device in asked.devices:
            session = self._table.here(device, asked.gateway)
            if session is not None:
                self._closing.close(self._table.supersede(device, session.epoch), LOGOUT)
            results.append((device, OK if session else "no_session"))
        return results

    def _answer(self, answers: Sequence[tuple[_Asked, Sequence[tuple[Device, str]]]]) -> None:
        """A reply each, in order; the session may be gone meanwhile."""
        for asked, results in answers:
            for device, reason in results:
                self._note(asked, device, reason)
        self._reply([(asked, *outcome(asked.step, results)) for asked, results in answers])

    def _reply(self, replies: Iterable[tuple[_Asked, Alink, str, object]]) -> None:
        pushes = [
            (_push(asked, reply(asked.request, int(code), message, data)), self._replied)
            for asked, code, message, data in replies
            if asked.request.ack
        ]
        self._pushes.start(pushes)

    def _note(self, asked: _Asked, device: Device, reason: str) -> None:
        what = "login" if asked.step.is_login else "logout"
        self._count(f"{what}_{reason}")
        if reason != OK:
            self._refusals.note(what, reason, device.key, f"{asked.gateway.device.key} {asked.gateway.client}")
        if reason != OK and asked.step.is_login:
            self._attempts.refused(f"{device.device_name}&{device.product_key}", reason, asked.gateway.client)

    def _replied(self, outcome: Outcome) -> None:
        if outcome is Outcome.FAILED:
            self._count("session_replies_failed")


def _understood(gateway: Session, message: SessionMessage) -> tuple[_Asked, str]:
    """What is asked, and why it cannot be done, or ""."""
    step = Step(message.topic.rpartition("/")[2])
    try:
        request = parse_request(message.payload[:MAX_PAYLOAD])
    except AlinkError:
        return _Asked(gateway, step, message.topic, message.qos, Request(""), []), "malformed"
    limit = MAX_BATCH if step.is_batch else 1
    named: Sequence[SubDeviceProof] | Sequence[SubDeviceName] = []
    why = "malformed"
    try:
        named = read_proofs(request.params, limit) if step.is_login else read_names(request.params, limit)
        why = _unfit(gateway, named)
    except MalformedSubDevice:
        pass
    return _Asked(gateway, step, message.topic, message.qos, request, named), why


def _unfit(gateway: Session, named: Sequence[SubDeviceProof] | Sequence[SubDeviceName]) -> str:
    if gateway.parent is not None:
        return "not_a_gateway"
    return "duplicate" if len({(one.product_key, one.device_name) for one in named}) < len(named) else ""


def _size(asked: Iterable[_Asked]) -> int:
    """In sub-devices."""
    return sum(len(one.named) for one in asked)


def _push(asked: _Asked, payload: bytes) -> Push:
    return Push(asked.gateway.handle, asked.topic + REPLY, payload, asked.qos, must_subscribe=False)
