"""What gateways say and ask of the devices behind them, in batches.

A message is done only if its (epoch, sequence) is above that of the gateway's last one, inside the transaction that
holds the gateway, so a replay and a consumer that was frozen change nothing. Sessions of devices that were removed or
moved end before the reply goes out, so that the gateway which asks next finds them gone. A reply that cannot be sent is
given up, because the device asks again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from thinghub.common.errors import Fault, Unavailable
from thinghub.device_protocol.alink import Request, reply
from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.message_ids import derive
from thinghub.device_protocol.sub_devices import SubDeviceProof
from thinghub.device_registry.domain import topology as rules
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.domain.topology import Proven, Topology, TopologyChange
from thinghub.device_registry.ports.others import Announcer
from thinghub.device_registry.ports.tags import Replies, Reply
from thinghub.device_registry.ports.topology import Proofs, TopologyStore
from thinghub.device_registry.service.bindings import Bindings
from thinghub.device_registry.service.notices import Notices

FOUND = "found"
GET_WEIGHT = 100  # a list is read at once, and may have some thousand devices


class What(StrEnum):
    ADD = "thing.topo.add"
    DELETE = "thing.topo.delete"
    GET = "thing.topo.get"
    FOUND = "thing.list.found"


@dataclass(frozen=True, slots=True)
class Asked:
    """A gateway's message. One that was refused already has no `change`, and `refusal` says why."""

    what: What
    request: Request
    gateway: DeviceId
    topic: str
    message_id: int
    origin: str
    handle: int
    change: TopologyChange | None = None
    found: tuple[DeviceId, ...] = ()
    refusal: str = ""

    @property
    def weight(self) -> int:
        """How much work it is, in devices."""
        if self.what is What.GET:
            return GET_WEIGHT
        return len(self.change.devices if self.change else self.found) + 1


@dataclass(frozen=True, slots=True)
class Answer:
    code: Alink
    message: str = rules.SUCCESS
    data: object = None


class TopologyReports:
    """`clock_ms` gives epoch milliseconds; `limit` is how many sub-devices a gateway has at most."""

    def __init__(
        self,
        store: TopologyStore,
        bindings: Bindings,
        proofs: Proofs,
        notices: Notices,
        announcer: Announcer,
        replies: Replies,
        limit: int,
        clock_ms: Callable[[], int],
        log: logging.Logger,
    ) -> None:
        self._store = store
        self._bindings = bindings
        self._proofs = proofs
        self._notices = notices
        self._announcer = announcer
        self._replies = replies
        self._limit = limit
        self._clock_ms = clock_ms
        self._log = log

    async def handle(self, asked: Sequence[Asked]) -> None:
        """Messages in the order of the bus. Returns when they are stored. Raises StoreUnavailable."""
        verdicts = await self._apply([one.change for one in asked if one.change])
        held = await self._held({one.gateway for one in asked if one.what is What.GET})
        unknown = await self._pass_on([one for one in asked if one.found])
        answers = [_answer(one, verdicts, held, unknown) for one in asked]
        await self._send([_reply(one, answer) for one, answer in zip(asked, answers, strict=True) if one.request.ack])

    async def _apply(self, changes: Sequence[TopologyChange]) -> Mapping[int, rules.Verdict]:
        """By the identity of the change."""
        if not changes:
            return {}
        proven = await self._check([proof for change in changes for proof in change.proofs])
        gateways = sorted({change.gateway for change in changes})
        subs = sorted({device for change in changes for device in change.devices})
        now = self._clock_ms()
        async with self._store.holding(gateways, subs) as unit:
            topology = Topology(unit.gateways, unit.subs, self._limit, now)
            verdicts = {id(change): topology.apply(change, proven) for change in changes}
            await unit.bind(topology.changed)
            await unit.mark([one for device, one in topology.gateways.items() if one != unit.gateways[device]])
            await unit.leave(topology.notices, topology.events, now)
        await self._bindings.remember(topology.changed)
        if topology.notices:
            await self._tell()
        return verdicts

    async def _check(self, proofs: Sequence[SubDeviceProof]) -> Mapping[SubDeviceProof, Proven]:
        """That auth is away is an answer, not a reason to hold up every other gateway."""
        wanted = list(dict.fromkeys(proofs))
        try:
            return dict(zip(wanted, await self._proofs.check(wanted), strict=True)) if wanted else {}
        except Unavailable as error:
            self._log.warning("signs of %d sub-devices could not be checked: %s", len(wanted), error)
            return dict.fromkeys(wanted, Proven.UNAVAILABLE)

    async def _tell(self) -> None:
        """At once, if the gateways can be told at once; else they are told later."""
        try:
            await self._notices.drain()
        except Fault as error:
            self._log.warning("gateways are told of a changed topology later: %s", error)
            self._notices.wake()

    async def _held(self, gateways: set[DeviceId]) -> Mapping[DeviceId, Sequence[DeviceId]]:
        return await self._store.held_by(sorted(gateways)) if gateways else {}

    async def _pass_on(self, asked: Sequence[Asked]) -> frozenset[int]:
        """Tells the bus what gateways found. The messages, by the id of the reply, that name an unknown product."""
        if not asked:
            return frozenset()
        known = await self._store.identities(sorted({device for one in asked for device in (one.gateway, *one.found)}))
        unknown = frozenset(one.message_id for one in asked if not _all_known(one, known))
        messages = [
            rules.found_message(derive(one.message_id, FOUND), one.gateway, one.found, known, self._clock_ms())
            for one in asked
            if one.message_id not in unknown
        ]
        if messages:
            await self._announcer.lifecycle(messages)
        return unknown

    async def _send(self, replies: Sequence[Reply]) -> None:
        try:
            if replies:
                await self._replies.send(replies)
        except Fault as error:
            self._log.warning("%d replies about topology were not sent: %s", len(replies), error)


def _answer(
    asked: Asked,
    verdicts: Mapping[int, rules.Verdict],
    held: Mapping[DeviceId, Sequence[DeviceId]],
    unknown: frozenset[int],
) -> Answer:
    if asked.refusal:
        return Answer(Alink.PARAMETER_ERROR, asked.refusal)
    if asked.message_id in unknown:
        return Answer(Alink.FOUND_PRODUCT_UNKNOWN, "a product does not exist")
    if asked.what is What.GET:
        subs = held.get(asked.gateway)
        if subs is None:
            return Answer(*rules.unknown(asked.gateway))
        return Answer(Alink.SUCCESS, data=rules.listed(subs))
    if asked.change is None:
        return Answer(Alink.SUCCESS)
    code, message = verdicts[id(asked.change)]
    added = code is Alink.SUCCESS and asked.what is What.ADD
    return Answer(code, message, rules.listed(asked.change.devices) if added else None)


def _all_known(asked: Asked, known: Mapping[DeviceId, rules.Identity]) -> bool:
    """Products of other instances are as good as none."""
    gateway = known.get(asked.gateway)
    return gateway is not None and all(
        (identity := known.get(one)) is not None and identity.instance_id == gateway.instance_id for one in asked.found
    )


def _reply(asked: Asked, answer: Answer) -> Reply:
    payload = reply(asked.request, int(answer.code), answer.message, answer.data, method=asked.what)
    return Reply(asked.gateway, asked.topic + "_reply", payload, asked.message_id, asked.origin, asked.handle)
