"""Admission: from a proven device to a session, in batches; the last part of a CONNECT and of a sub-device's log-in.

    index -> claim (a script a device, pipelined) -> former owner told -> begun -> online

Own former sessions end at once; a former owner elsewhere is told before the new session begins, so that the device's
messages keep their order. A claim whose connection is gone, or that was superseded meanwhile, is released.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from thinghub.connection_gateway.domain.claims import Claimed, Wanted
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.errors import ClaimsUnavailable
from thinghub.connection_gateway.ports import Claims, StatusEvent, StatusEvents
from thinghub.connection_gateway.service.attempts import Attempts
from thinghub.connection_gateway.service.closing import Closing
from thinghub.connection_gateway.service.kicks import Kicks
from thinghub.connection_gateway.service.outboxes import Outboxes

ADMITTED = ""
# The connection went away; nobody hears an answer.
GONE = "gone"

# The connection plane's handles of these sessions, in order; 0 where the connection is gone.
Begin = Callable[[Sequence[Session]], list[int]]

log = logging.getLogger("thinghub.connection_gateway.admission")


@dataclass(frozen=True, slots=True)
class _Candidate:
    """`index` is the place of its answer; `replaces`: its device was online before."""

    index: int
    session: Session
    replaces: bool


class Admission:
    def __init__(
        self,
        claims: Claims,
        table: SessionTable,
        kicks: Kicks,
        closing: Closing,
        events: StatusEvents,
        attempts: Attempts,
        outboxes: Outboxes,
        clock_ms: Callable[[], int],
    ) -> None:
        self._claims = claims
        self._table = table
        self._kicks = kicks
        self._closing = closing
        self._events = events
        self._attempts = attempts
        self._outboxes = outboxes
        self._clock_ms = clock_ms

    async def admit(self, wanted: Sequence[Session], begin: Begin) -> list[str]:
        """Sessions without epoch and handle; one answer each, in order: ADMITTED, GONE, or the reason of a refusal."""
        if not wanted:
            return []
        devices = [session.device for session in wanted]
        answers = [ADMITTED] * len(wanted)
        self._table.arriving(devices)
        try:
            await self._take(wanted, await self._claim(wanted), begin, answers)
        except ClaimsUnavailable as fault:
            log.warning("sessions could not be claimed: %s", fault)
            for session in wanted:  # the script may have run, its answer lost
                self._closing.abandon(session, offline=False)
            return ["claims_unavailable"] * len(wanted)
        finally:
            self._table.arrived(devices)
        return answers

    async def _claim(self, wanted: Sequence[Session]) -> list[Claimed]:
        devices = {session.device for session in wanted}
        await self._closing.settled(devices)
        await self._claims.index(list(devices))
        return await self._claims.claim([_wish(session) for session in wanted])

    async def _take(
        self, wanted: Sequence[Session], claimed: Sequence[Claimed], begin: Begin, answers: list[str]
    ) -> None:
        at_once: list[_Candidate] = []
        after_kick: list[tuple[_Candidate, Claimed]] = []
        for index, (session, claim) in enumerate(zip(wanted, claimed, strict=True)):
            if claim.barred:
                answers[index] = "barred"
                continue
            claimed_session = replace(session, epoch=claim.epoch, kept=claim.kept)
            candidate = _Candidate(index, claimed_session, claim.previous is not None)
            self._table.claim(candidate.session)
            if claim.previous is None or self._kicks.end_own(claim.previous, session.device):
                at_once.append(candidate)
            else:
                after_kick.append((candidate, claim))
        await self._begin(at_once, begin, answers)
        if after_kick:
            await self._kicks.tell_former_owners(
                (one.session.device, claim.previous) for one, claim in after_kick if claim.previous
            )
            await self._begin([one for one, _ in after_kick], begin, answers)

    async def _begin(self, candidates: Sequence[_Candidate], begin: Begin, answers: list[str]) -> None:
        standing, online = [], []
        for one in candidates:
            if self._table.unclaim(one.session):
                standing.append(one)
            else:
                answers[one.index] = "superseded"
                self._closing.abandon(one.session, offline=one.replaces)
        now = self._clock_ms()
        for one, handle in zip(standing, begin([one.session for one in standing]), strict=True):
            if handle:
                session = one.session.under(handle)
                self._table.accepted(session)
                online.append(StatusEvent(session, True, now, session.since_ms))
            else:
                answers[one.index] = GONE
                self._closing.abandon(one.session, offline=one.replaces)
        self._attempts.accepted(event.session for event in online)
        self._outboxes.begin(event.session for event in online)
        await self._events.emit(online)


def _wish(session: Session) -> Wanted:
    return Wanted(
        session.device,
        session.connection,
        session.clean,
        session.ext,
        session.since_ms,
        session.client,
        session.iot_id,
    )
