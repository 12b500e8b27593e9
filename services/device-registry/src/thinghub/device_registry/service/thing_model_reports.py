"""Devices that ask for the thing model of their product: answered from what is published, many at once.

A reply that cannot be sent is given up, because the device asks again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

from thinghub.common.errors import Fault
from thinghub.device_protocol.alink import Request, reply, unreadable
from thinghub.device_protocol.codes import Alink
from thinghub.device_protocol.tsl import document
from thinghub.device_protocol.tsl.parse import Json
from thinghub.device_registry.domain.devices import DeviceId
from thinghub.device_registry.ports.tags import Replies, Reply
from thinghub.device_registry.service.thing_models import ThingModels

# Which of the contract's 5159 to 5161 stands for what is not confirmed.
NO_MODEL: Final = 5159
TOO_LARGE: Final = 5161
MAX_REPLY = 256 * 1024


class What(StrEnum):
    TEMPLATE = "thing.dsltemplate.get"
    DYNAMIC = "thing.dynamicTsl.get"


@dataclass(frozen=True, slots=True)
class Asked:
    """`request` is None when it could not be read."""

    what: What
    request: Request | None
    device: DeviceId
    topic: str
    message_id: int
    origin: str
    handle: int


class ThingModelReports:
    def __init__(self, models: ThingModels, replies: Replies, log: logging.Logger) -> None:
        self._models = models
        self._replies = replies
        self._log = log

    async def handle(self, asked: Sequence[Asked]) -> None:
        """At most 500. Raises StoreUnavailable."""
        products = list(dict.fromkeys(one.device.product_key for one in asked))
        effective = await self._models.effective(products)
        published = {key: orjson.loads(one.tsl) for key, one in effective.items() if one.tsl}
        replies = [_reply(one, _payload(one, published)) for one in asked if one.request is None or one.request.ack]
        try:
            if replies:
                await self._replies.send(replies)
        except Fault as error:
            self._log.warning("%d replies about thing models were not sent: %s", len(replies), error)


def _payload(asked: Asked, published: Mapping[str, Json]) -> bytes:
    if asked.request is None:
        return unreadable(Alink.PARAMETER_ERROR, "the payload is no Alink request")
    model = published.get(asked.device.product_key)
    if model is None:
        return reply(asked.request, NO_MODEL, "the product has no published thing model", method=asked.what)
    data = document.slim(model) if asked.what is What.DYNAMIC else model
    payload = reply(asked.request, Alink.SUCCESS, data=data, method=asked.what)
    if len(payload) > MAX_REPLY:
        return reply(asked.request, TOO_LARGE, "the thing model is larger than a message", method=asked.what)
    return payload


def _reply(asked: Asked, payload: bytes) -> Reply:
    return Reply(asked.device, asked.topic + "_reply", payload, asked.message_id, asked.origin, asked.handle)
