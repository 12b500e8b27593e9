"""Tags: changed by devices in batches, by the API one device a call.

A message is applied only if its (epoch, sequence) is above that of the last one applied, inside the transaction
that holds the device's tags, so a consumer that was frozen cannot bring back what was changed since. The reply goes out
after the commit; one that cannot be sent is given up, because the device asks again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from thinghub.common.errors import Fault
from thinghub.device_protocol.alink import Request, reply
from thinghub.device_protocol.codes import Alink
from thinghub.device_registry.domain.devices import DeviceId, DeviceRef
from thinghub.device_registry.domain.tags import (
    MAX_TAGS,
    SYSTEM,
    TOO_MANY,
    USER,
    TagChange,
    TagsInvalid,
    TagState,
    apply,
    check_tag,
    too_many,
)
from thinghub.device_registry.errors import DeviceNotFound, TagLimit, TagsRejected
from thinghub.device_registry.ports.store import Store
from thinghub.device_registry.ports.tags import Replies, Reply, TagStore


@dataclass(frozen=True, slots=True)
class Asked:
    """A device's message. `change` is None when it was refused already, with `refusal` saying why."""

    request: Request
    device: DeviceId
    topic: str
    message_id: int
    origin: str
    handle: int
    change: TagChange | None
    refusal: str = ""


class Tags:
    def __init__(self, store: Store, tags: TagStore, replies: Replies, log: logging.Logger) -> None:
        self._store = store
        self._tags = tags
        self._replies = replies
        self._log = log

    async def handle(self, asked: Sequence[Asked]) -> None:
        """Messages in the order of the bus. Returns when they are stored. Raises StoreUnavailable."""
        verdicts = await self._apply(asked)
        answers = [_answer(one, code, message) for one, (code, message) in zip(asked, verdicts, strict=True)]
        wanted = [answer for one, answer in zip(asked, answers, strict=True) if one.request.ack]
        try:
            if wanted:
                await self._replies.send(wanted)
        except Fault as error:
            self._log.warning("%d replies about tags were not sent: %s", len(wanted), error)

    async def _apply(self, asked: Sequence[Asked]) -> list[tuple[Alink, str]]:
        devices = sorted({one.device for one in asked if one.change})
        verdicts: list[tuple[Alink, str]] = []
        if not devices:
            return [(Alink.PARAMETER_ERROR, one.refusal) for one in asked]
        async with self._tags.holding(devices) as unit:
            states: dict[DeviceId, TagState] = dict(unit.states)
            for one in asked:
                if one.change is None:
                    verdicts.append((Alink.PARAMETER_ERROR, one.refusal))
                    continue
                state, code, message = apply(states.get(one.device), one.change)
                verdicts.append((code, message))
                if state is not None:
                    states[one.device] = state
            await unit.write({device: state for device, state in states.items() if state is not unit.states[device]})
        return verdicts

    async def save(self, instance_id: str, ref: DeviceRef, values: Mapping[str, str]) -> None:
        """Sets these of the user's tags and keeps the others. Raises DeviceNotFound, TagsRejected, TagLimit."""
        if not values or len(values) > MAX_TAGS:
            raise TagLimit(f"a call sets 1 to {MAX_TAGS} tags")
        try:
            for key, value in values.items():
                check_tag(key, value)
        except TagsInvalid as error:
            raise TagsRejected(str(error)) from error
        await self._change(instance_id, ref, {(USER, key): value for key, value in values.items()}, None)

    async def remove(self, instance_id: str, ref: DeviceRef, key: str) -> None:
        """One that is not there is removed already. Raises DeviceNotFound."""
        await self._change(instance_id, ref, {}, (USER, key))

    async def get(self, instance_id: str, ref: DeviceRef) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The user's tags, and what the SDK reported. Raises DeviceNotFound."""
        state = await self._tags.read(await self._device(instance_id, ref))
        user, system = (
            {key: value for (domain, key), value in state.tags.items() if domain == wanted} for wanted in (USER, SYSTEM)
        )
        return user, system

    async def _change(
        self, instance_id: str, ref: DeviceRef, values: Mapping[tuple[str, str], str], removed: tuple[str, str] | None
    ) -> None:
        device = await self._device(instance_id, ref)
        async with self._tags.holding([device]) as unit:
            state = unit.states.get(device)
            if state is None:
                raise DeviceNotFound("the device does not exist")
            tags = {**{key: value for key, value in state.tags.items() if key != removed}, **values}
            if too_many(tags):
                raise TagLimit(TOO_MANY)
            await unit.write({device: replace(state, tags=tags)})

    async def _device(self, instance_id: str, ref: DeviceRef) -> DeviceId:
        (device,) = await self._store.devices(instance_id, [ref])
        if device is None:
            raise DeviceNotFound("the device does not exist")
        return device.id


def _answer(asked: Asked, code: Alink, message: str) -> Reply:
    method = "thing.deviceinfo." + asked.topic.rpartition("/")[2]
    payload = reply(asked.request, int(code), message, method=method)
    return Reply(asked.device, asked.topic + "_reply", payload, asked.message_id, asked.origin, asked.handle)
