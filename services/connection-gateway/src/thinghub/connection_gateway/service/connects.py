"""CONNECT: from a request to a session, in batches (design §5).

    parse -> auth (one call) -> policies -> index -> claim (a script a device, pipelined)
          -> former owner told -> accept -> online

Every stage has a deadline of its own in its adapter, and they add up to less than 5 s. Whatever fails is answered
with its reason; a claim whose connection is gone, or was superseded meanwhile, is released.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from thinghub.common.errors import Fault
from thinghub.connection_gateway.domain.claims import Claimed, Wanted
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.rates import Rates
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.domain.verdicts import CONNACK, GUESSES, Verdict
from thinghub.connection_gateway.errors import ClaimsUnavailable
from thinghub.connection_gateway.ports import Authenticator, Claims, Connections, Count, StatusEvent, StatusEvents
from thinghub.connection_gateway.service.attempts import Attempts
from thinghub.connection_gateway.service.closing import Closing
from thinghub.connection_gateway.service.kicks import Kicks
from thinghub.connection_gateway.service.policies import Policies
from thinghub.connection_gateway.service.refusals import Refusals
from thinghub.device_protocol.connect import ConnectClaims, ConnectError, parse_connect

BATCH = 256
WORKERS = 8
MAX_WAITING = 20_000
# A request older than this has been answered by the core already.
STALE_SECONDS = 4.5

log = logging.getLogger("thinghub.connection_gateway.connects")


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """`received` is seconds of the loop's clock."""

    connection: int
    client_id: str
    username: str
    password: str = field(repr=False)
    clean: bool
    client: str
    received: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    request: ConnectRequest
    claims: ConnectClaims
    iot_id: str = ""

    @property
    def device(self) -> Device:
        return Device(self.claims.product_key, self.claims.device_name)


@dataclass(frozen=True, slots=True)
class ConnectLimits:
    """Authenticated connects a minute of a device, failed ones of an address."""

    per_device: Rates
    per_address: Rates
    enforce: bool


class Connects:
    def __init__(
        self,
        connections: Connections,
        authenticator: Authenticator,
        policies: Policies,
        claims: Claims,
        table: SessionTable,
        kicks: Kicks,
        closing: Closing,
        events: StatusEvents,
        limits: ConnectLimits,
        attempts: Attempts,
        refusals: Refusals,
        clock_ms: Callable[[], int],
        count: Count,
    ) -> None:
        self._connections = connections
        self._authenticator = authenticator
        self._policies = policies
        self._claims = claims
        self._table = table
        self._kicks = kicks
        self._closing = closing
        self._events = events
        self._limits = limits
        self._attempts = attempts
        self._refusals = refusals
        self._clock_ms = clock_ms
        self._count = count
        self._waiting: deque[ConnectRequest] = deque()
        self._wake = asyncio.Semaphore(0)
        self._gone: set[int] = set()
        self._stopping = False

    def submit(self, requests: Iterable[ConnectRequest]) -> None:
        """Takes requests; beyond the bound they are refused at once."""
        refused = []
        for request in requests:
            if self._stopping:
                refused.append((request, "stopping"))
            elif len(self._waiting) < MAX_WAITING:
                self._waiting.append(request)
            else:
                refused.append((request, "overloaded"))
        self._refuse(refused)
        self._wake.release()

    def dropped(self, connections: Iterable[int]) -> None:
        """These connections closed before they were answered; those still waiting need no work."""
        if self._waiting:
            waiting = {request.connection for request in self._waiting}
            self._gone.update(waiting.intersection(connections))

    def stop(self) -> None:
        """Refuses whatever comes from now on."""
        self._stopping = True
        self._refuse([(request, "stopping") for request in self._waiting])
        self._waiting.clear()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._wake.acquire()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                try:
                    await self.admit(self._fresh(batch))
                except Exception as error:
                    log.error("connects could not be admitted", exc_info=error)
                    self._refuse([(request, "internal") for request in batch])

    def _fresh(self, batch: Sequence[ConnectRequest]) -> list[ConnectRequest]:
        oldest = asyncio.get_running_loop().time() - STALE_SECONDS
        fresh = [one for one in batch if one.connection not in self._gone and one.received > oldest]
        self._gone.difference_update(request.connection for request in batch)
        return fresh

    async def admit(self, requests: Sequence[ConnectRequest]) -> None:
        """Answers every request: accepted or refused."""
        candidates = await self._authenticated(self._understood(requests))
        candidates = await self._permitted(self._within_rate(candidates))
        if not candidates:
            return
        devices = [candidate.device for candidate in candidates]
        self._table.arriving(devices)
        try:
            await self._claim(candidates)
        finally:
            self._table.arrived(devices)

    def _understood(self, requests: Sequence[ConnectRequest]) -> list[_Candidate]:
        now = asyncio.get_running_loop().time()
        understood, refused = [], []
        for request in requests:
            if not self._limits.per_address.allows(_host(request), now):
                refused.append((request, "failure_rate"))
                continue
            try:
                claims = parse_connect(request.client_id, request.username, request.password)
            except ConnectError as error:
                refused.append((request, error.reason))
            else:
                understood.append(_Candidate(request, claims))
        self._refuse(refused)
        return understood

    async def _authenticated(self, candidates: Sequence[_Candidate]) -> list[_Candidate]:
        if not candidates:
            return []
        try:
            answers = await self._authenticator.authenticate([candidate.claims for candidate in candidates])
        except Fault as fault:
            log.warning("auth did not answer: %s", fault)
            self._refuse([(candidate.request, Verdict.UNAVAILABLE) for candidate in candidates])
            return []
        judged = list(zip(candidates, answers, strict=True))
        self._refuse([(one.request, answer.verdict) for one, answer in judged if answer.verdict is not Verdict.OK])
        return [
            _Candidate(one.request, one.claims, answer.iot_id) for one, answer in judged if answer.verdict is Verdict.OK
        ]

    def _within_rate(self, candidates: Sequence[_Candidate]) -> list[_Candidate]:
        now = asyncio.get_running_loop().time()
        over = {one for one in candidates if not self._limits.per_device.count(one.device, now)}
        for _ in over:
            self._count("connects_over_rate")
        if not self._limits.enforce:
            return list(candidates)
        self._refuse([(one.request, "connect_rate") for one in over])
        return [one for one in candidates if one not in over]

    async def _permitted(self, candidates: Sequence[_Candidate]) -> list[_Candidate]:
        if not candidates:
            return []
        try:
            unknown = await self._policies.need(one.claims.product_key for one in candidates)
        except Fault as fault:
            log.warning("device-registry did not answer: %s", fault)
            self._refuse([(one.request, "policy_unavailable") for one in candidates])
            return []
        self._refuse([(one.request, "unknown_product") for one in candidates if one.claims.product_key in unknown])
        return [one for one in candidates if one.claims.product_key not in unknown]

    async def _claim(self, candidates: Sequence[_Candidate]) -> None:
        now = self._clock_ms()
        wanted = [_wanted(candidate, now) for candidate in candidates]
        devices = {one.device for one in wanted}
        try:
            await self._closing.settled(devices)
            await self._claims.index(list(devices))
            claimed = await self._claims.claim(wanted)
        except ClaimsUnavailable as fault:
            log.warning("sessions could not be claimed: %s", fault)
            self._refuse([(one.request, "claims_unavailable") for one in candidates])
            for candidate in candidates:  # the script may have run, its answer lost
                self._closing.abandon(_session(candidate, 0, now), offline=False)
            return
        await self._take(candidates, claimed, now)

    async def _take(self, candidates: Sequence[_Candidate], claimed: Sequence[Claimed], now: int) -> None:
        """Own former sessions end at once; a former owner elsewhere is told before the new session is accepted."""
        at_once: list[tuple[Session, bool]] = []
        after_kick: list[tuple[Session, Claimed]] = []
        for candidate, claim in zip(candidates, claimed, strict=True):
            if claim.barred:
                self._refuse([(candidate.request, "barred")])
                continue
            session = _session(candidate, claim.epoch, now)
            self._table.claim(session)
            if claim.previous is None:
                at_once.append((session, False))
            elif self._kicks.end_own(claim.previous, session.device):
                at_once.append((session, True))
            else:
                after_kick.append((session, claim))
        await self._accept(at_once)
        if after_kick:
            former = [(session.device, claim.previous) for session, claim in after_kick if claim.previous]
            await self._kicks.tell_former_owners(former)
            await self._accept([(session, True) for session, _ in after_kick])

    async def _accept(self, sessions: Sequence[tuple[Session, bool]]) -> None:
        """`bool`: the session replaces one that was online."""
        standing, online = [], []
        for session, replaces in sessions:
            if self._table.unclaim(session):
                standing.append((session, replaces))
            else:
                self._connections.reject([(session.connection, CONNACK["superseded"], "superseded")])
                self._attempts.refused(session.device, "superseded", session.client)
                self._closing.abandon(session, offline=replaces)
        handles = self._connections.accept([session for session, _ in standing])
        now = self._clock_ms()
        for (session, replaces), handle in zip(standing, handles, strict=True):
            if handle:
                accepted = session.under(handle)
                self._table.accepted(accepted)
                online.append(StatusEvent(accepted, True, now, accepted.since_ms))
            else:
                self._closing.abandon(session, offline=replaces)
        self._attempts.accepted(event.session for event in online)
        await self._events.emit(online)

    def _refuse(self, refusals: Sequence[tuple[ConnectRequest, str]]) -> None:
        if not refusals:
            return
        now = asyncio.get_running_loop().time()
        for request, reason in refusals:
            if reason in GUESSES:
                self._limits.per_address.count(_host(request), now)
            self._attempts.refused(request.username, reason, request.client)
            self._refusals.note("connect", reason, request.username, request.client)
        self._connections.reject([(request.connection, CONNACK[reason], reason) for request, reason in refusals])


def _host(request: ConnectRequest) -> str:
    return request.client.rpartition(":")[0]


def _wanted(candidate: _Candidate, now: int) -> Wanted:
    request = candidate.request
    return Wanted(candidate.device, request.connection, request.clean, candidate.claims.ext, now, request.client)


def _session(candidate: _Candidate, epoch: int, now: int) -> Session:
    request = candidate.request
    return Session(
        candidate.device,
        epoch,
        request.connection,
        candidate.claims.ext,
        candidate.iot_id,
        request.client,
        now,
        request.clean,
    )
