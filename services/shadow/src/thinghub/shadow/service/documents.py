"""Shadow documents: requests of devices in batches, requests of servers one by one, controls to devices.

    batch -> by device -> read, fold, compare and set, one pipelined run each
                            ^          └── another writer was there first: these devices once more
    -> replies, one Deliver a batch

Effects are stored before anything is told. Replies are told at most a few times: a device that got none asks again.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from thinghub.common.errors import Fault
from thinghub.device_protocol.message_ids import derive
from thinghub.shadow.domain import document_replies as replies
from thinghub.shadow.domain.document import DocumentError, Problem, Request, changed, state_of
from thinghub.shadow.domain.document_fold import Answer, Asked, Folded, Held, fold, writes
from thinghub.shadow.domain.document_requests import device_request, server_request
from thinghub.shadow.errors import DocumentBusy, StoreUnavailable, shadow_fault
from thinghub.shadow.ports.documents import Device, DocumentStore, Downlink, Downlinks, Write, Written
from thinghub.shadow.service.document_cache import RecentDocuments
from thinghub.shadow.service.document_limits import RequestRates
from thinghub.shadow.service.document_observation import DocumentObservation, Tally

ROUNDS = 20
DELIVERIES = 3
DELIVERY_PAUSE_S = 0.3


class Uplink(Protocol):
    """A device message as it comes from the bus (thinghubpb.bus.v1.Message)."""

    @property
    def id(self) -> int: ...
    @property
    def product_key(self) -> str: ...
    @property
    def device_name(self) -> str: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def epoch(self) -> int: ...
    @property
    def sequence(self) -> int: ...
    @property
    def received_ms(self) -> int: ...
    @property
    def handle(self) -> int: ...
    @property
    def traceparent(self) -> str: ...


Arrived = tuple[str, Uplink]
"""A message and the gateway it came by."""


class Documents:
    def __init__(
        self,
        store: DocumentStore,
        downlinks: Downlinks,
        rates: RequestRates,
        observation: DocumentObservation,
        now_ms: Callable[[], int],
        cache_bytes: int = 0,
    ) -> None:
        self._store = store
        self._downlinks = downlinks
        self._rates = rates
        self._observation = observation
        self._now_ms = now_ms
        self._recent = RecentDocuments(cache_bytes)

    async def handle(self, batch: Sequence[Arrived]) -> None:
        """Returns when every effect is stored. Raises StoreUnavailable, DocumentBusy: the batch has to come again."""
        tally: Tally[str] = Tally()
        asked: dict[Device, list[Asked]] = {}
        arrived: dict[Device, list[Arrived]] = {}
        for one in batch:
            message = one[1]
            device = Device(message.product_key, message.device_name)
            place = (message.epoch, message.sequence)
            if self._rates.over(device, message.received_ms, place):
                tally["over_rate"] += 1
                if self._rates.enforce:
                    continue
            time_s = (message.received_ms or self._now_ms()) // 1000
            asked.setdefault(device, []).append(Asked(_read(message.payload), place, time_s))
            arrived.setdefault(device, []).append(one)
        answers = await self._answers(asked)
        downlinks: list[Downlink] = []
        for device, given in answers.items():
            for (origin, message), answer in zip(arrived[device], given, strict=True):
                tally[answer.outcome] += 1
                if answer.payload:
                    reply_id = derive(message.id, "shadow")
                    downlinks.append(Downlink(device, answer.payload, reply_id, origin, message.handle))
        self._observation.requests(tally)
        await self._deliver(downlinks)

    async def get(self, device: Device) -> tuple[bytes, int]:
        """The document as a device's `get` is answered, and its version."""
        (held,) = await self._store.read([device])
        return replies.whole(held.shadow, self._now_ms() // 1000), held.shadow.version

    async def update(self, device: Device, message: bytes, delta: bool) -> int:
        """A server's update; the new version. The device is told when it is online, or else when it comes online.
        Raises the fault of what is wrong, StoreUnavailable, DocumentBusy."""
        try:
            held = await self._update(device, message, delta)
        except DocumentError as error:
            self._observation.requests({f"server_{error.problem}": 1})
            raise shadow_fault(error.problem) from error
        self._observation.requests({"server_update": 1})
        if held.shadow.desired:
            await self._deliver([self._control(device, held)])
        return held.shadow.version

    async def came_online(self, devices: Sequence[Device]) -> None:
        """Sends the control to those whose document has something desired. Raises StoreUnavailable."""
        held = await self._store.read(devices)
        await self._deliver(
            [self._control(device, one) for device, one in zip(devices, held, strict=True) if one.shadow.desired]
        )

    async def deleted(self, devices: Sequence[tuple[Device, int]]) -> None:
        """Empties the documents; the times of the deletions are epoch milliseconds. Raises StoreUnavailable."""
        await self._store.forget(devices)

    async def _update(self, device: Device, message: bytes, delta: bool) -> Held:
        request, now_s = server_request(message, delta), self._now_ms() // 1000
        for _ in range(ROUNDS):
            (held,) = await self._store.read([device])
            shadow = changed(held.shadow, request, now_s)
            new = Held(held.revision + 1, shadow, held.place, held.outcome)
            (written,) = await self._store.write([Write(device, held.revision, new, state_of(shadow))])
            if written is Written.DONE:
                return new
            if written is Written.UNCONFIRMED:
                raise StoreUnavailable("the update was not confirmed; it may or may not stay")
            self._observation.conflicts(1)
        raise DocumentBusy("too many writers at once")

    async def _answers(self, asked: Mapping[Device, Sequence[Asked]]) -> dict[Device, list[Answer]]:
        answers: dict[Device, list[Answer]] = {}
        waiting = list(asked)
        for _ in range(ROUNDS):
            held = await self._held(waiting, asked)
            folded = [(device, held[device], fold(held[device], asked[device])) for device in waiting]
            for device, _, after in folded:
                answers[device] = after.answers
            waiting = await self._write(folded, answers)
            if not waiting:
                return answers
            self._observation.conflicts(len(waiting))
        raise DocumentBusy("too many writers at once")

    async def _held(self, devices: Sequence[Device], asked: Mapping[Device, Sequence[Asked]]) -> dict[Device, Held]:
        """Remembered documents for those that are about to be written, the others read."""
        found = {
            device: held
            for device in devices
            if (held := self._recent.get(device)) and all(writes(one) for one in asked[device])
        }
        unknown = [device for device in devices if device not in found]
        if unknown:
            found.update(zip(unknown, await self._store.read(unknown), strict=True))
        return found

    async def _write(
        self, folded: Sequence[tuple[Device, Held, Folded]], answers: dict[Device, list[Answer]]
    ) -> list[Device]:
        """The devices that have to be folded once more."""
        writes = [
            Write(device, before.revision, after.held, after.state, after.again)
            for device, before, after in folded
            if after.state
        ]
        busy: list[Device] = []
        for write, written in zip(writes, await self._store.write(writes), strict=True):
            if written is Written.DONE:
                self._recent.put(write.device, write.held, len(write.state))
                continue
            self._recent.drop(write.device)
            if written is Written.CONFLICT:
                busy.append(write.device)
            else:
                answers[write.device] = [self._failed(answer) for answer in answers[write.device]]
        return busy

    def _failed(self, answer: Answer) -> Answer:
        if not answer.depends:
            return answer
        return Answer(replies.refused(Problem.FAILED, self._now_ms() // 1000), Problem.FAILED)

    def _control(self, device: Device, held: Held) -> Downlink:
        message_id = derive(held.revision, f"shadow control/{device.product_key}/{device.device_name}")
        return Downlink(device, replies.control(held.shadow, self._now_ms() // 1000), message_id)

    async def _deliver(self, downlinks: Sequence[Downlink]) -> None:
        """Gives up after a few tries, and counts that: no offset waits for a gateway."""
        if not downlinks:
            return
        for left in reversed(range(DELIVERIES)):
            try:
                self._observation.downlinks(await self._downlinks.deliver(downlinks))
                return
            except Fault:
                if left:
                    await asyncio.sleep(DELIVERY_PAUSE_S)
        self._observation.downlinks({"gateway_away": len(downlinks)})


def _read(payload: bytes) -> Request | DocumentError:
    try:
        return device_request(payload)
    except DocumentError as error:
        return error
