"""RRPC: one request to a device and its response (invariants §4; the states are in domain/rrpc.py).

The gateway that holds the connection waits, because it alone learns at once that the connection closed. The request
goes out as QoS 1, so that TIMEOUT (received, not answered) and HALFCONN (perhaps never received) can be told apart.
"""

import asyncio
import logging
from collections.abc import Callable

from thinghub.connection_gateway.domain.claims import Claim
from thinghub.connection_gateway.domain.device import Device
from thinghub.connection_gateway.domain.outcomes import Outcome
from thinghub.connection_gateway.domain.rrpc import Answer, Code, Correlator, request_topic, response_id
from thinghub.connection_gateway.domain.sessions import Session, SessionTable
from thinghub.connection_gateway.errors import ClaimsUnavailable, PeerUnavailable
from thinghub.connection_gateway.ports import Claims, Count, Peers, Response
from thinghub.connection_gateway.service.pushes import Push, Pushes
from thinghub.device_protocol.message_ids import worker_of

DEFAULT_TIMEOUT_MS = 5000
MAX_TIMEOUT_MS = 8000
STRAYS = 1000

log = logging.getLogger("thinghub.connection_gateway.requests")


class Requests:
    """`next_id` gives message ids of this gateway's worker."""

    def __init__(
        self,
        gateway: str,
        worker: int,
        next_id: Callable[[], int],
        claims: Claims,
        peers: Peers,
        table: SessionTable,
        pushes: Pushes,
        bound: int,
        count: Count,
    ) -> None:
        self._gateway = gateway
        self._worker = worker
        self._next_id = next_id
        self._claims = claims
        self._peers = peers
        self._table = table
        self._pushes = pushes
        self._bound = bound
        self._count = count
        self._correlator = Correlator()
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._strays: asyncio.Queue[Response] = asyncio.Queue(STRAYS)

    async def request(self, device: Device, payload: bytes, topic: str, timeout_ms: int) -> Answer:
        """Wherever the device is connected; one that moved meanwhile is tried once more."""
        try:
            claim = (await self._claims.find([device]))[0]
            answer = await self._at(claim, device, payload, topic, timeout_ms)
            if answer.code is not Code.OFFLINE or answer.message_id or claim is None:
                return answer
            moved = (await self._claims.find([device]))[0]
            return answer if moved in (None, claim) else await self._at(moved, device, payload, topic, timeout_ms)
        except ClaimsUnavailable:
            if self._table.of(device) is None:
                return Answer(Code.UNKNOWN)
            return await self.request_here(device, payload, topic, timeout_ms)

    async def request_here(self, device: Device, payload: bytes, topic: str, timeout_ms: int) -> Answer:
        """To an own session. An OFFLINE without a message id was never sent."""
        session = self._table.of(device)
        if session is None:
            return Answer(Code.OFFLINE)
        if len(self._answers) >= self._bound:
            self._count("requests_over_bound")
            return Answer(Code.UNKNOWN)
        return await self._send(session, payload, topic, min(timeout_ms or DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS))

    def on_closed(self, handle: int) -> None:
        """The connection is gone: its requests are answered now."""
        for message_id in self._correlator.of_connection(handle):
            self._answer(message_id, Answer(Code.OFFLINE, message_id))

    def on_response(self, device: Device, topic: str, payload: bytes) -> None:
        """A message on a response topic. Late ones are dropped; another gateway's are passed on."""
        message_id = response_id(topic)
        if self._accept(Response(message_id, device, payload)):
            return
        if not message_id or worker_of(message_id) == self._worker or self._strays.full():
            self._count("responses_dropped")
            return
        self._strays.put_nowait(Response(message_id, device, payload))

    def respond(self, responses: list[Response]) -> None:
        """Responses that arrived at other gateways."""
        for response in responses:
            if not self._accept(response):
                self._count("responses_dropped")

    async def run(self) -> None:
        """Passes on what belongs to other gateways, for ever."""
        while True:
            response = await self._strays.get()
            try:
                address = await self._claims.worker_address(worker_of(response.message_id))
                if address:
                    await self._peers.respond(address, [response])
                    self._count("responses_forwarded")
            except (ClaimsUnavailable, PeerUnavailable) as fault:
                self._count("responses_dropped")
                log.warning("a response could not be passed on: %s", fault)

    async def _at(self, claim: Claim | None, device: Device, payload: bytes, topic: str, timeout_ms: int) -> Answer:
        if claim is None:
            return Answer(Code.OFFLINE)
        if claim.gateway == self._gateway:
            return await self.request_here(device, payload, topic, timeout_ms)
        try:
            return await self._peers.request(claim.address, device, payload, topic, timeout_ms)
        except PeerUnavailable:
            alive = (await self._claims.alive([claim.gateway]))[0]
            return Answer(Code.UNKNOWN if alive else Code.OFFLINE)

    async def _send(self, session: Session, payload: bytes, topic: str, timeout_ms: int) -> Answer:
        message_id = self._next_id()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._correlator.open(message_id, session.device, session.handle)
        self._answers[message_id] = answer
        where = request_topic(session.device, message_id, topic, session.ext)
        push = Push(session.handle, where, payload, qos=1, must_subscribe=True)
        tokens = self._pushes.start([(push, lambda outcome: self._on_outcome(message_id, outcome))])
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await answer
        except TimeoutError:
            return Answer(self._correlator.overdue(message_id), message_id)
        finally:
            self._pushes.forget(tokens)
            self._correlator.forget(message_id)
            del self._answers[message_id]

    def _on_outcome(self, message_id: int, outcome: Outcome) -> None:
        if outcome is Outcome.DELIVERED:
            self._correlator.acknowledged(message_id)
        elif outcome in (Outcome.OFFLINE, Outcome.FAILED):
            self._answer(message_id, Answer(Code.OFFLINE, message_id))
        elif outcome is Outcome.NO_SUBSCRIBER:
            # Online, and deaf to requests: it will not answer however long we wait.
            self._answer(message_id, Answer(Code.TIMEOUT, message_id))

    def _accept(self, response: Response) -> bool:
        if not self._correlator.answers(response.message_id, response.device):
            return False
        self._answer(response.message_id, Answer(Code.SUCCESS, response.message_id, response.payload))
        return True

    def _answer(self, message_id: int, answer: Answer) -> None:
        waiting = self._answers.get(message_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
