"""CONNECT: from a request to a session, in batches (design §5).

    parse -> auth (one call) -> rate -> policies -> Admission (claim, former owner told, accept, online)

Every stage has a deadline of its own in its adapter, and they add up to less than 5 s. Whatever fails is answered
with its reason.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from thinghub.common.errors import Fault
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.rates import Rates
from thinghub.connection_gateway.domain.sessions import Session
from thinghub.connection_gateway.domain.verdicts import CONNACK, GUESSES, Verdict
from thinghub.connection_gateway.ports import Authenticator, Connections, Count
from thinghub.connection_gateway.service.admission import ADMITTED, GONE, Admission
from thinghub.connection_gateway.service.attempts import Attempts
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
        admission: Admission,
        limits: ConnectLimits,
        attempts: Attempts,
        refusals: Refusals,
        clock_ms: Callable[[], int],
        count: Count,
    ) -> None:
        self._connections = connections
        self._authenticator = authenticator
        self._policies = policies
        self._admission = admission
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
        now = self._clock_ms()
        sessions = [_session(one, now) for one in candidates]
        reasons = await self._admission.admit(sessions, self._connections.accept)
        judged = zip(candidates, reasons, strict=True)
        self._refuse([(one.request, reason) for one, reason in judged if reason not in (ADMITTED, GONE)])

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


def _session(candidate: _Candidate, now: int) -> Session:
    """Not claimed yet: without an epoch."""
    request = candidate.request
    return Session(
        candidate.device,
        0,
        request.connection,
        candidate.claims.ext,
        candidate.iot_id,
        request.client,
        now,
        request.clean,
    )
