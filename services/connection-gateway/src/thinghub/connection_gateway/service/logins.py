"""Log-ins of sub-devices: from a proof to a session on the gateway's connection, in batches (device-mqtt §10).

    auth (one call) -> topology (one a gateway) -> policies -> room, rate -> Admission (claim, attach, online)

A sub-device's session is a session like any other: claimed with the number of the gateway's connection, kicked, closed,
released and reported by itself. What fails is answered with its reason.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from thinghub.common.errors import Fault
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.logins import GUESSES, OK
from thinghub.connection_gateway.domain.rates import Rates
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.domain.verdicts import Verdict
from thinghub.connection_gateway.ports import Authenticator, Connections, Count, Topology
from thinghub.connection_gateway.service.admission import GONE, Admission
from thinghub.connection_gateway.service.policies import Policies
from thinghub.device_protocol.sub_devices import SubDeviceProof

log = logging.getLogger("thinghub.connection_gateway.logins")


@dataclass(frozen=True, slots=True)
class Login:
    """`gateway` is the own session of the connection that the proof came over."""

    gateway: Session
    proof: SubDeviceProof

    @property
    def device(self) -> Device:
        return Device(self.proof.product_key, self.proof.device_name)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """`index` is the place of its answer."""

    index: int
    login: Login
    iot_id: str = ""

    @property
    def device(self) -> Device:
        return self.login.device


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """Authenticated log-ins a minute of a sub-device (its own connects count as well), failed ones of a gateway device,
    sub-devices online behind one, sessions of all kinds on this gateway."""

    per_device: Rates
    per_gateway: Rates
    enforce: bool
    max_online: int
    max_sessions: int


class Logins:
    def __init__(
        self,
        connections: Connections,
        authenticator: Authenticator,
        topology: Topology,
        policies: Policies,
        admission: Admission,
        table: SessionTable,
        limits: LoginLimits,
        clock_ms: Callable[[], int],
        count: Count,
    ) -> None:
        self._connections = connections
        self._authenticator = authenticator
        self._topology = topology
        self._policies = policies
        self._admission = admission
        self._table = table
        self._limits = limits
        self._clock_ms = clock_ms
        self._count = count

    async def admit(self, logins: Sequence[Login]) -> list[str]:
        """A reason each, in order; OK: online. The same device may come once a gateway."""
        answers = [OK] * len(logins)
        candidates = [_Candidate(index, login) for index, login in enumerate(logins)]
        for check in (self._unhurried, self._authenticated, self._held, self._permitted, self._new, self._with_room):
            candidates = await check(candidates, answers)
            if not candidates:
                return answers
        now = self._clock_ms()
        sessions = [_session(one, now) for one in candidates]
        for one, reason in zip(
            candidates, await self._admission.admit(sessions, self._connections.attach), strict=True
        ):
            answers[one.index] = "gateway_gone" if reason == GONE else reason or OK
        return answers

    async def _unhurried(self, candidates: Sequence[_Candidate], answers: list[str]) -> list[_Candidate]:
        """A gateway device that guesses is refused before auth is asked."""
        now, rate = _seconds(), self._limits.per_gateway
        fast = {one.index for one in candidates if not rate.allows(one.login.gateway.device, now)}
        return self._without(candidates, dict.fromkeys(fast, "failure_rate"), answers)

    async def _authenticated(self, candidates: Sequence[_Candidate], answers: list[str]) -> list[_Candidate]:
        try:
            judged = await self._authenticator.authenticate([one.login.proof for one in candidates])
        except Fault as fault:
            log.warning("auth did not answer: %s", fault)
            return self._without(candidates, {one.index: Verdict.UNAVAILABLE for one in candidates}, answers)
        bad = {
            one.index: answer.verdict
            for one, answer in zip(candidates, judged, strict=True)
            if answer.verdict is not Verdict.OK
        }
        known = [replace(one, iot_id=answer.iot_id) for one, answer in zip(candidates, judged, strict=True)]
        return self._without(known, bad, answers)

    async def _held(self, candidates: Sequence[_Candidate], answers: list[str]) -> list[_Candidate]:
        by_gateway: dict[Device, list[_Candidate]] = {}
        for one in candidates:
            by_gateway.setdefault(one.login.gateway.device, []).append(one)
        found = await asyncio.gather(*(self._not_held(gateway, behind) for gateway, behind in by_gateway.items()))
        return self._without(candidates, {index: why for part in found for index, why in part.items()}, answers)

    async def _not_held(self, gateway: Device, behind: Sequence[_Candidate]) -> dict[int, str]:
        try:
            held = await self._topology.held(gateway, [one.device for one in behind])
        except Fault as fault:
            log.warning("device-registry did not say what a gateway holds: %s", fault)
            return {one.index: "topology_unavailable" for one in behind}
        return {one.index: "no_topology" for one, is_held in zip(behind, held, strict=True) if not is_held}

    async def _permitted(self, candidates: Sequence[_Candidate], answers: list[str]) -> list[_Candidate]:
        try:
            unknown = await self._policies.need(one.device.product_key for one in candidates)
        except Fault as fault:
            log.warning("device-registry did not answer: %s", fault)
            return self._without(candidates, {one.index: "policy_unavailable" for one in candidates}, answers)
        bad = {one.index: "unknown_product" for one in candidates if one.device.product_key in unknown}
        return self._without(candidates, bad, answers)

    async def _new(self, candidates: Sequence[_Candidate], _: list[str]) -> list[_Candidate]:
        """Who is online on this very connection stays so: the answer is OK, and nothing else happens."""
        return [one for one in candidates if self._table.here(one.device, one.login.gateway) is None]

    async def _with_room(self, candidates: Sequence[_Candidate], answers: list[str]) -> list[_Candidate]:
        now, refused, taken = _seconds(), {}, Counter[int]()
        for one in candidates:
            gateway = one.login.gateway.handle
            if self._table.behind(gateway) + taken[gateway] >= self._limits.max_online:
                refused[one.index] = "too_many_online"
            elif len(self._table) + taken.total() >= self._limits.max_sessions:
                refused[one.index] = "no_room"
            elif self._too_often(one.device, now):
                refused[one.index] = "login_rate"
            else:
                taken[gateway] += 1
        return self._without(candidates, refused, answers)

    def _too_often(self, device: Device, now: float) -> bool:
        if self._limits.per_device.count(device, now):
            return False
        self._count("logins_over_rate")
        return self._limits.enforce

    def _without(
        self, candidates: Sequence[_Candidate], refused: Mapping[int, str], answers: list[str]
    ) -> list[_Candidate]:
        """Notes the answers of the refused, and what counts against their gateway; returns the others."""
        now = _seconds()
        for one in candidates:
            reason = refused.get(one.index)
            if reason is not None:
                answers[one.index] = str(reason)
                if reason in GUESSES:
                    self._limits.per_gateway.count(one.login.gateway.device, now)
        return [one for one in candidates if one.index not in refused]


def _seconds() -> float:
    return asyncio.get_running_loop().time()


def _session(candidate: _Candidate, now: int) -> Session:
    """Not claimed yet: without an epoch. Sessions of sub-devices are clean, whatever the log-in asks for."""
    gateway = candidate.login.gateway
    return Session(
        candidate.device,
        0,
        gateway.connection,
        gateway.ext,
        candidate.iot_id,
        gateway.client,
        now,
        parent=gateway,
    )
